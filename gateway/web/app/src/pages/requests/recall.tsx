import { useState } from "preact/hooks";
import { type Answer, call } from "../../core/api";
import { plural } from "../../core/format";
import { useDeed } from "../../core/loading";
import { Button } from "../../ui/button";
import { Notice } from "../../ui/states";

type Recalled = Answer<"POST /api/projects/{project_id}/cache/recall">;

/** "This answer was wrong": its entry goes, and everybody who got it is named. */
export function Recall({ projectId, requestId }: { projectId: string; requestId: string }) {
  const [recalled, setRecalled] = useState<Recalled | null>(null);
  const deed = useDeed(async () => {
    setRecalled(
      await call("POST /api/projects/{project_id}/cache/recall", {
        path: { project_id: projectId },
        body: { request_id: requestId },
      }),
    );
  });
  if (recalled)
    return (
      <Notice tone="good" icon="check">
        <p>
          {plural(recalled.entries.length, "kept answer")} taken back;{" "}
          {recalled.requests.length === 0
            ? "nobody else got it."
            : `${plural(recalled.requests.length, "request")} got it:`}
        </p>
        {recalled.requests.map((id) => (
          <p key={id}>
            <a class="mono small" href={`/requests?request=${id}`}>
              {id}
            </a>
          </p>
        ))}
      </Notice>
    );
  return (
    <div class="stack tight">
      <div>
        <Button kind="danger" isBusy={deed.isBusy} onClick={() => void deed.run()}>
          This answer was wrong
        </Button>
      </div>
      <p class="faint small">Takes its kept answer and the near ones back, and names every request that got it.</p>
      {deed.error && <Notice tone="bad">{deed.error.message}</Notice>}
    </div>
  );
}
