import { call } from "../../core/api";
import { useLoaded } from "../../core/loading";
import { Card } from "../../ui/card";
import { Ago } from "../../ui/figures";
import { Scroll } from "../../ui/scroll";
import { Await, Empty } from "../../ui/states";

const SHOWN = 50;

/** Who did what to which thing, the newest first. */
export function Audit() {
  const entries = useLoaded("audit", (signal) => call("GET /api/audit", { query: { limit: SHOWN }, signal }));
  return (
    <Card title="Audit log" note={`The last ${SHOWN} changes; GET /api/audit has all.`} isFlush>
      <Await of={entries}>
        {(data) =>
          data.entries.length === 0 ? (
            <Empty title="Nothing was changed yet" />
          ) : (
            <Scroll>
              <table>
                <thead>
                  <tr>
                    <th scope="col">When</th>
                    <th scope="col">What</th>
                    <th scope="col">On</th>
                    <th scope="col">By</th>
                    <th scope="col" class="wide-only">
                      From
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {data.entries.map((entry) => (
                    <tr key={entry.id}>
                      <td class="soft">
                        <Ago at={entry.at} />
                      </td>
                      <td class="told">
                        {entry.action}
                        {entry.detail && <span class="sub">{entry.detail}</span>}
                      </td>
                      <td class="mono small soft">{entry.object}</td>
                      <td class="soft">
                        {entry.actor.kind} <span class="sub mono">{entry.actor.id}</span>
                      </td>
                      <td class="soft wide-only">{entry.origin}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          )
        }
      </Await>
    </Card>
  );
}
