import { useState } from "preact/hooks";
import { call } from "../../core/api";
import { showShare } from "../../core/format";
import { useLoaded } from "../../core/loading";
import { toNumber } from "../../core/money";
import type { Period } from "../../core/period";
import { Card } from "../../ui/card";
import { Amount, Count, Share } from "../../ui/figures";
import { Scroll } from "../../ui/scroll";
import { Segmented } from "../../ui/segmented";
import { Await, Empty } from "../../ui/states";

const KINDS = [
  ["model", "Models"],
  ["key", "Keys"],
  ["project", "Projects"],
  ["tag", "Tags"],
] as const;
type Kind = (typeof KINDS)[number][0];
const SHOWN = 8;

/** Who is responsible: what costs most comes first. */
export function Top({ period, projectId }: { period: Period; projectId: string }) {
  const [by, setBy] = useState<Kind>("model");
  const top = useLoaded(`top ${by} ${projectId} ${period.key}`, (signal) =>
    call("GET /api/overview/top", { query: { ...period.query, project_id: projectId, by, limit: SHOWN }, signal }),
  );
  return (
    <Card title="What costs most" isFlush aside={<Segmented label="By" value={by} options={KINDS} onChange={setBy} />}>
      <Await of={top}>
        {(data) => {
          const most = Math.max(...data.items.map((item) => toNumber(item.cost_usd)), 1e-12);
          if (data.items.length === 0)
            return <Empty title={by === "tag" ? "No call had a tag" : "Nothing in this period"} />;
          return (
            <Scroll isTight>
              <table>
                <thead>
                  <tr>
                    <th scope="col">{KINDS.find(([kind]) => kind === by)?.[1]}</th>
                    <th scope="col" class="number wide-only">
                      Requests
                    </th>
                    <th scope="col" class="number wide-only">
                      Cached
                    </th>
                    <th scope="col" class="number">
                      Spent
                    </th>
                    <th scope="col" class="number">
                      Saved
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {data.items.map((item) => (
                    <tr key={item.id}>
                      <td style={{ width: "45%", maxWidth: "12rem" }}>
                        <a
                          class="cut plain"
                          style={{ display: "block" }}
                          href={linkTo(by, item.id, projectId)}
                          title={item.name}
                        >
                          {item.name || "unnamed"}
                        </a>
                        <Share part={toNumber(item.cost_usd) / most} />
                      </td>
                      <td class="number wide-only">
                        <Count of={item.requests} />
                      </td>
                      <td class="number soft wide-only">
                        {item.requests > 0 ? showShare(item.hits / item.requests) : "–"}
                      </td>
                      <td class="number">
                        <Amount usd={item.cost_usd} />
                      </td>
                      <td class="number good">
                        <Amount usd={item.saved_usd} />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          );
        }}
      </Await>
    </Card>
  );
}

/** The calls behind a line. */
function linkTo(by: Kind, id: string, projectId: string): string {
  const name = { model: "model", key: "key_id", project: "project", tag: "tag" }[by];
  const query = new URLSearchParams(projectId ? { project: projectId } : {});
  query.set(name, id);
  return `/requests?${query}`;
}
