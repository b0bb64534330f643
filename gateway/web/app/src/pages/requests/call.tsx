import { call } from "../../core/api";
import { showMoment, showSpan, showWhole } from "../../core/format";
import { useLoaded } from "../../core/loading";
import { useMay } from "../../core/session";
import { Dialog } from "../../ui/dialog";
import { Amount, Stat } from "../../ui/figures";
import { Await, Badge } from "../../ui/states";
import { ContentPart } from "./content_part";
import { PricePart } from "./price_part";
import { Recall } from "./recall";
import type { CallView } from "./shared";
import { Timeline } from "./timeline";

/** One call in every detail; its content only where the project keeps that. */
export function CallDialog({ id, onClose }: { id: string; onClose: () => void }) {
  const found = useLoaded(`call ${id}`, (signal) =>
    call("GET /api/requests/{request_id}", { path: { request_id: id }, signal }),
  );
  return (
    <Dialog title="Request" isSide onClose={onClose}>
      <Await of={found} lines={10}>
        {(data) => <Detail of={data} />}
      </Await>
    </Dialog>
  );
}

function Detail({ of }: { of: CallView }) {
  const may = useMay("member");
  return (
    <div class="stack wide">
      <div class="stack tight">
        <div class="row">
          <Badge tone={of.status === "complete" ? "good" : of.status === "cancelled" ? "warn" : "bad"}>
            {of.status.replace("_", " ")}
          </Badge>
          <Badge>{of.http_status}</Badge>
          {of.stream && <Badge>stream</Badge>}
          {of.cache.cached && <Badge tone="good">from the cache</Badge>}
          {of.error_code && <Badge tone="bad">{of.error_code}</Badge>}
        </div>
        <p class="soft">
          {showMoment(of.created_at)} · {of.endpoint}
        </p>
        <p class="mono small faint">{of.id}</p>
      </div>
      <div class="figures">
        <Stat
          name="Cost"
          {...(of.cache.cached
            ? {
                note: (
                  <>
                    <Amount usd={of.cache.saved_usd} /> saved
                  </>
                ),
              }
            : {})}
        >
          <Amount usd={of.price.cost_usd} />
        </Stat>
        <Stat name="Tokens" {...(of.tokens.estimated ? { note: "estimated" } : {})}>
          {showWhole(of.tokens.total)}
        </Stat>
        <Stat name="Latency" note={`overhead ${showSpan(of.timing.overhead_ms)}`}>
          {showSpan(of.timing.latency_ms)}
        </Stat>
      </div>
      <Facts of={of} />
      {of.content && <ContentPart of={of.content} />}
      <Timeline of={of} />
      <PricePart of={of} />
      <CachePart of={of} />
      {may && of.status === "complete" && <Recall projectId={of.project_id} requestId={of.id} />}
    </div>
  );
}

function Facts({ of }: { of: CallView }) {
  const facts: readonly (readonly [string, string])[] = [
    ["Asked for", of.model],
    ["Answered by", [of.provider, of.upstream_model].filter(Boolean).join(" · ")],
    ["Provider's id", of.upstream_request_id],
    ["Key", of.key_id],
    ["Project", of.project_id],
    ["Tags", of.tags.join(", ")],
    ["Session", of.session],
  ];
  return (
    <dl class="facts">
      {facts
        .filter(([, value]) => value)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

function CachePart({ of }: { of: CallView }) {
  return (
    <section class="stack tight">
      <h3>Cache</h3>
      <p class="soft">
        {of.cache.cached ? (
          <>
            {of.cache.layer === "semantic"
              ? "It means what an earlier call meant. Given"
              : "It says what an earlier call said. Given"}{" "}
            from entry <span class="mono small">{of.cache.entry}</span>: {showWhole(of.cache.tokens_saved)} tokens and{" "}
            <Amount usd={of.cache.saved_usd} /> saved.
          </>
        ) : (
          "Sent to a provider: nothing kept answered it, or it was not asked."
        )}
      </p>
    </section>
  );
}
