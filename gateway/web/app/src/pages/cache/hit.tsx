import { type Answer, call } from "../../core/api";
import { showMoment } from "../../core/format";
import { useLoaded } from "../../core/loading";
import { Dialog } from "../../ui/dialog";
import { Await, Badge } from "../../ui/states";
import { Recall } from "../requests/recall";
import { DECISIONS, JUDGES, Verdict } from "./verdict";

type Entry = NonNullable<Answer<"GET /api/projects/{project_id}/cache/hits/{request_id}">["entry"]>;

interface HitProps {
  projectId: string;
  requestId: string;
  may: boolean;
  onClose: () => void;
}

/** One find: the entry that was found, what lies near it, and taking it back. */
export function HitDialog({ projectId, requestId, may, onClose }: HitProps) {
  const path = { project_id: projectId, request_id: requestId };
  const found = useLoaded(`hit ${requestId}`, (signal) =>
    call("GET /api/projects/{project_id}/cache/hits/{request_id}", { path, signal }),
  );
  return (
    <Dialog title="A find" isSide onClose={onClose}>
      <Await of={found}>
        {({ hit, entry, neighbours }) => (
          <>
            <div class="row">
              <Badge tone="accent">{DECISIONS[hit.decision]}</Badge>
              <Verdict right={hit.right} />
              {hit.judged_by && <span class="soft">{JUDGES[hit.judged_by]}</span>}
              <span class="soft">{showMoment(hit.created_at)}</span>
            </div>
            <p class="soft">
              Similarity {hit.similarity.toFixed(4)}, score {hit.score.toFixed(4)}
              {hit.threshold !== null && `, threshold ${hit.threshold.toFixed(4)}`}.{" "}
              {hit.guards.length > 0 ? `Guards that objected: ${hit.guards.join(", ")}.` : "No guard objected."}
            </p>
            {hit.question && (
              <blockquote class="code line">
                <pre>{hit.question}</pre>
              </blockquote>
            )}
            <h3>The answer that it stands for</h3>
            {entry ? <EntryBox of={entry} /> : <p class="faint">It is no longer kept.</p>}
            {neighbours.length > 0 && <h3>Near it</h3>}
            {neighbours.map((each) => (
              <EntryBox key={each.entry} of={each} />
            ))}
            <p>
              <a href={`/requests?request=${hit.request_id}`}>The request</a>
            </p>
            {may && <Recall projectId={projectId} requestId={hit.request_id} />}
          </>
        )}
      </Await>
    </Dialog>
  );
}

function EntryBox({ of }: { of: Entry }) {
  return (
    <div class="card">
      <div class="inside stack tight">
        <div class="row apart">
          <span class="mono small cut">{of.entry}</span>
          <span class="soft small">
            {of.model} · right {of.right}, wrong {of.wrong}
          </span>
        </div>
        {of.question && <p>{of.question}</p>}
        {of.answer && <p class="soft">{of.answer}</p>}
        <p class="faint small">
          Kept {showMoment(of.created_at)}, until {showMoment(of.expires_at)}
        </p>
      </div>
    </div>
  );
}
