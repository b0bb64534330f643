import { useState } from "preact/hooks";
import { call } from "../../core/api";
import { showDay } from "../../core/format";
import { useDeed, useLoaded } from "../../core/loading";
import type { MemberView } from "../../core/schema";
import { ROLES, type Role, useMay, useSession } from "../../core/session";
import { PageHead } from "../../frame";
import { Button } from "../../ui/button";
import { Card } from "../../ui/card";
import { Confirm } from "../../ui/dialog";
import { Select } from "../../ui/field";
import { Scroll } from "../../ui/scroll";
import { Await, Notice } from "../../ui/states";
import { Audit } from "./audit";
import { Invitations } from "./invitations";

/** Who belongs to the account, who is asked to, and who did what. */
export function Team() {
  const may = useMay("admin");
  return (
    <>
      <PageHead title="Team">Nobody gives more than they have, and an account keeps an owner.</PageHead>
      <div class="stack">
        <Members may={may} />
        {may && <Invitations />}
        {may && <Audit />}
      </div>
    </>
  );
}

function Members({ may }: { may: boolean }) {
  const members = useLoaded("members", (signal) => call("GET /api/account/members", { signal }));
  const [doomed, setDoomed] = useState<MemberView | null>(null);
  const changing = useDeed(async (userId: string, role: Role) => {
    await call("PATCH /api/account/members/{user_id}", { path: { user_id: userId }, body: { role } });
    members.reload();
  });
  const { profile } = useSession();
  return (
    <Card title="Members" isFlush>
      {changing.error && <Notice tone="bad">{changing.error.message}</Notice>}
      <Await of={members}>
        {(data) => (
          <Scroll>
            <table>
              <thead>
                <tr>
                  <th scope="col">Person</th>
                  <th scope="col">Role</th>
                  <th scope="col" class="wide-only">
                    Since
                  </th>
                  <th scope="col">
                    <span class="unseen">What to do</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {data.members.map((member) => (
                  <tr key={member.user_id}>
                    <td>
                      {member.full_name || member.email}
                      <span class="sub">{member.email}</span>
                    </td>
                    <td>
                      {may && member.user_id !== profile.id ? (
                        <Select
                          isBare
                          label={`Role of ${member.email}`}
                          value={member.role}
                          options={ROLES.map((role) => [role, role] as const)}
                          onChange={(role) => void changing.run(member.user_id, role as Role)}
                        />
                      ) : (
                        member.role
                      )}
                    </td>
                    <td class="soft wide-only">{showDay(member.joined_at)}</td>
                    <td class="number">
                      {may && member.user_id !== profile.id && (
                        <Button kind="quiet" onClick={() => setDoomed(member)}>
                          Remove
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
      {doomed && (
        <Remove
          of={doomed}
          onClose={() => {
            setDoomed(null);
            members.reload();
          }}
        />
      )}
    </Card>
  );
}

function Remove({ of, onClose }: { of: MemberView; onClose: () => void }) {
  const deed = useDeed(async () => {
    await call("DELETE /api/account/members/{user_id}", { path: { user_id: of.user_id } });
    onClose();
  });
  return (
    <Confirm
      title={`Remove ${of.full_name || of.email}?`}
      verb="Remove"
      isBusy={deed.isBusy}
      error={deed.error}
      onConfirm={() => void deed.run()}
      onClose={onClose}
    >
      Their sessions in this account end, and the keys that they made stop working.
    </Confirm>
  );
}
