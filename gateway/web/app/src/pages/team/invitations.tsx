import { useState } from "preact/hooks";
import { call } from "../../core/api";
import { showDay } from "../../core/format";
import { useDeed, useLoaded } from "../../core/loading";
import type { Role } from "../../core/session";
import { Button } from "../../ui/button";
import { Card } from "../../ui/card";
import { Dialog } from "../../ui/dialog";
import { Input, Select } from "../../ui/field";
import { Form } from "../../ui/form";
import { Scroll } from "../../ui/scroll";
import { Await, Empty } from "../../ui/states";
import { ShownOnce } from "../projects/shown_once";
import { ROLE_OPTIONS } from "./shared";

export function Invitations() {
  const open = useLoaded("invitations", (signal) => call("GET /api/account/invitations", { signal }));
  const [isMaking, setMaking] = useState(false);
  const taking = useDeed(async (id: string) => {
    await call("DELETE /api/account/invitations/{invitation_id}", { path: { invitation_id: id } });
    open.reload();
  });
  return (
    <Card
      title="Invitations"
      isFlush
      aside={
        <Button icon="plus" onClick={() => setMaking(true)}>
          Invite
        </Button>
      }
    >
      <Await of={open} lines={2}>
        {(data) =>
          data.invitations.length === 0 ? (
            <Empty title="Nobody is invited" icon="team">
              <p>An invitation is a link that you send yourself; it is valid for 7 days, once.</p>
            </Empty>
          ) : (
            <Scroll>
              <table>
                <tbody>
                  {data.invitations.map((each) => (
                    <tr key={each.id}>
                      <td>{each.email}</td>
                      <td class="soft">{each.role}</td>
                      <td class="soft">until {showDay(each.expires_at)}</td>
                      <td class="number">
                        <Button kind="quiet" onClick={() => void taking.run(each.id)}>
                          Take back
                        </Button>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          )
        }
      </Await>
      {isMaking && (
        <Invite
          onClose={() => {
            setMaking(false);
            open.reload();
          }}
        />
      )}
    </Card>
  );
}

function Invite({ onClose }: { onClose: () => void }) {
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<Role>("member");
  const [link, setLink] = useState<string | null>(null);
  const deed = useDeed(async () => {
    const made = await call("POST /api/account/invitations", { body: { email: email.trim(), role } });
    setLink(`${location.origin}/join#${made.token}`);
  });
  if (link)
    return (
      <ShownOnce
        title={`Invitation for ${email.trim()}`}
        secret={link}
        onClose={onClose}
        note="Send this link to them. It works once, within 7 days."
      />
    );
  return (
    <Dialog title="Invite somebody" onClose={onClose}>
      <Form verb="Make the link" deed={deed} isReady={email.trim() !== ""} onCancel={onClose}>
        <Input label="E-mail address" type="email" required value={email} onInput={setEmail} />
        <Select label="Role" value={role} options={ROLE_OPTIONS} onChange={(value) => setRole(value as Role)} />
      </Form>
    </Dialog>
  );
}
