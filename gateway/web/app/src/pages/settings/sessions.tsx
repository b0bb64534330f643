import { call } from "../../core/api";
import { useDeed, useLoaded } from "../../core/loading";
import { Button } from "../../ui/button";
import { Card } from "../../ui/card";
import { Ago } from "../../ui/figures";
import { Scroll } from "../../ui/scroll";
import { Await, Badge } from "../../ui/states";

/** Where the person is signed in. */
export function Sessions() {
  const sessions = useLoaded("sessions", (signal) => call("GET /api/sessions", { signal }));
  const ending = useDeed(async (id: string) => {
    await call("DELETE /api/sessions/{session_id}", { path: { session_id: id } });
    sessions.reload();
  });
  return (
    <Card title="Your sessions" isFlush>
      <Await of={sessions} lines={3}>
        {(data) => (
          <Scroll>
            <table>
              <thead>
                <tr>
                  <th scope="col">Account</th>
                  <th scope="col">Begun</th>
                  <th scope="col">Last seen</th>
                  <th scope="col">
                    <span class="unseen">What to do</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {data.sessions.map((session) => (
                  <tr key={session.id}>
                    <td>{session.account_name}</td>
                    <td class="soft">
                      <Ago at={session.created_at} />
                    </td>
                    <td class="soft">
                      <Ago at={session.seen_at} />
                    </td>
                    <td class="number">
                      {session.current ? (
                        <Badge tone="accent">this one</Badge>
                      ) : (
                        <Button kind="quiet" isBusy={ending.isBusy} onClick={() => void ending.run(session.id)}>
                          End
                        </Button>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Scroll>
        )}
      </Await>
    </Card>
  );
}
