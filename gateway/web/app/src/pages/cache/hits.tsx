import { useState } from "preact/hooks";
import { call } from "../../core/api";
import { useLoaded } from "../../core/loading";
import { Button } from "../../ui/button";
import { Card } from "../../ui/card";
import { Ago } from "../../ui/figures";
import { Scroll } from "../../ui/scroll";
import { Await, Empty } from "../../ui/states";
import { HitDialog } from "./hit";
import { DECISIONS, Verdict } from "./verdict";

const PAGE = 12;
const MOST = 192;

/** What the semantic layer found lately, and how each was judged. */
export function Hits({ projectId, may }: { projectId: string; may: boolean }) {
  const [shown, setShown] = useState(PAGE);
  const hits = useLoaded(`hits ${projectId} ${shown}`, (signal) =>
    call("GET /api/projects/{project_id}/cache/hits", {
      path: { project_id: projectId },
      query: { limit: shown },
      signal,
    }),
  );
  const [chosen, setChosen] = useState<string | null>(null);
  return (
    <Card title="Hits" note="The newest finds of the semantic layer." isFlush>
      <Await of={hits}>
        {(data) =>
          data.hits.length === 0 ? (
            <Empty icon="search" title="No finds yet">
              <p>In the modes shadow and semantic, each call that means what an earlier one meant is listed here.</p>
            </Empty>
          ) : (
            <Scroll>
              <table>
                <thead>
                  <tr>
                    <th scope="col">When</th>
                    <th scope="col">What happened</th>
                    <th scope="col" class="number wide-only">
                      Similarity
                    </th>
                    <th scope="col" class="number wide-only">
                      Score
                    </th>
                    <th scope="col" class="wide-only">
                      Guards
                    </th>
                    <th scope="col">Verdict</th>
                    <th scope="col">
                      <span class="unseen">What to do</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {data.hits.map((hit) => (
                    <tr key={hit.request_id}>
                      <td class="soft">
                        <Ago at={hit.created_at} />
                      </td>
                      <td class="asked">
                        {DECISIONS[hit.decision]}
                        {hit.question && (
                          <span class="sub lines" title={hit.question}>
                            {hit.question}
                          </span>
                        )}
                      </td>
                      <td class="number wide-only">{hit.similarity.toFixed(3)}</td>
                      <td
                        class="number wide-only"
                        title={hit.threshold === null ? undefined : `threshold ${hit.threshold.toFixed(3)}`}
                      >
                        {hit.score.toFixed(3)}
                      </td>
                      <td class="soft small wide-only">
                        {hit.guards.length > 0 ? hit.guards.join(", ") : "none objected"}
                      </td>
                      <td>
                        <Verdict right={hit.right} />
                      </td>
                      <td class="number">
                        <Button kind="quiet" onClick={() => setChosen(hit.request_id)}>
                          Look
                        </Button>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
              {data.next !== null && shown < MOST && (
                <p class="log-foot">
                  <Button onClick={() => setShown(shown * 2)}>Show more</Button>
                </p>
              )}
            </Scroll>
          )
        }
      </Await>
      {chosen && (
        <HitDialog
          projectId={projectId}
          requestId={chosen}
          may={may}
          onClose={() => {
            setChosen(null);
            hits.reload();
          }}
        />
      )}
    </Card>
  );
}
