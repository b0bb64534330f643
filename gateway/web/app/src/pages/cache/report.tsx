import { useState } from "preact/hooks";
import { plural, showBetween, showShare } from "../../core/format";
import type { Loaded } from "../../core/loading";
import { Card } from "../../ui/card";
import { Segmented } from "../../ui/segmented";
import { Await, Badge, Empty, Notice } from "../../ui/states";
import { Choice } from "./choice";
import { type BoundName, OF, pointsOf, type ReportView } from "./curve";
import type { Policy } from "./policy_form";

const KINDS: readonly (readonly [BoundName, string])[] = [
  ["max_wrong_hit_rate", "Wrong of the hits"],
  ["max_wrong_rate", "Wrong of all requests"],
];

interface ReportProps {
  report: Loaded<ReportView>;
  policy: Policy;
  projectId: string;
  may: boolean;
  onChanged: () => void;
}

/** Hits against errors as a curve that one can read, a slider along it, and what each place on it means. */
export function Report({ report, policy, projectId, may, onChanged }: ReportProps) {
  const [kind, setKind] = useState<BoundName>(
    policy.max_wrong_hit_rate === null && policy.max_wrong_rate !== null ? "max_wrong_rate" : "max_wrong_hit_rate",
  );
  return (
    <Card
      title="What a bound on errors gives"
      note="Of answers that mean the same: how many could be served, and how many of those would be wrong."
      aside={<Segmented label="The bound is on" value={kind} options={KINDS} onChange={setKind} />}
    >
      <Await of={report}>
        {(data) => {
          const points = pointsOf(data.curve, kind);
          if (data.requests === 0 || points.length === 0) {
            return data.loading ? <Loading /> : <NoReport mode={policy.mode} />;
          }
          return (
            <div class="stack wide">
              {data.young && (
                <Notice tone="accent">
                  {plural(data.requests, "request")} seen. From 200 on a bound can be proven; until then nothing that
                  only means the same is served.
                </Notice>
              )}
              <Choice
                key={kind}
                points={points}
                kind={kind}
                policy={policy}
                projectId={projectId}
                may={may}
                onChanged={onChanged}
                report={data}
              />
              <Live report={data} policy={policy} />
            </div>
          );
        }}
      </Await>
    </Card>
  );
}

function Loading() {
  return (
    <Empty icon="cache" title="Being read">
      <p>What was stored and learnt is read after a start; this takes some seconds. Open the page again then.</p>
    </Empty>
  );
}

function NoReport({ mode }: { mode: string }) {
  return (
    <Empty icon="cache" title="Nothing seen yet">
      <p>
        {mode === "off" || mode === "exact"
          ? "Choose the mode shadow: calls are answered as before, and this curve fills from your own traffic."
          : "The curve fills as calls come in."}
      </p>
    </Empty>
  );
}

interface InForce {
  bound: number;
  of: string;
  rate: number;
  low: number;
  high: number;
}

/** The bounds that hold, one or both, each with what was wrong against it. */
function boundsOf({ live }: ReportView): InForce[] {
  const bounds: InForce[] = [];
  if (live.max_wrong_hit_rate !== null)
    bounds.push({
      bound: live.max_wrong_hit_rate,
      of: OF.max_wrong_hit_rate,
      rate: live.wrong_hit_rate,
      low: live.wrong_hit_rate_low,
      high: live.wrong_hit_rate_high,
    });
  if (live.max_wrong_rate !== null)
    bounds.push({
      bound: live.max_wrong_rate,
      of: OF.max_wrong_rate,
      rate: live.wrong_rate,
      low: live.wrong_rate_low,
      high: live.wrong_rate_high,
    });
  return bounds;
}

function Live({ report, policy }: { report: ReportView; policy: Policy }) {
  const { live } = report;
  if (policy.mode !== "semantic") return null;
  const bounds = boundsOf(report);
  const isKept = bounds.every(({ rate, bound }) => rate <= bound);
  return (
    <Notice tone={live.serving ? (isKept ? "good" : "bad") : "accent"}>
      <span class="row">
        <strong>{live.serving ? "Serving" : "Learning"}</strong>
        {live.serving ? (
          <span>
            {plural(live.hits, "answer")} served again;{" "}
            {bounds
              .map(({ bound, of, rate, low, high }) => {
                const interval = showBetween(low, high);
                return `wrong ${showShare(rate)} ${of} ${interval && `(${interval}) `}against your bound of ${showShare(bound)}`;
              })
              .join("; ")}
            .
          </span>
        ) : (
          <span>
            Nothing that only means the same is served until the bound of{" "}
            {bounds.map(({ bound, of }) => `${showShare(bound)} ${of}`).join(" and ")} can be proven.
          </span>
        )}
        {live.serving && <Badge tone={isKept ? "good" : "bad"}>{isKept ? "bound kept" : "above the bound"}</Badge>}
      </span>
    </Notice>
  );
}
