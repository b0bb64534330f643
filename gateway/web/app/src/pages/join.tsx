import { useState } from "preact/hooks";
import { call } from "../core/api";
import { useDeed, useLoaded } from "../core/loading";
import { enter } from "../core/session";
import { Button } from "../ui/button";
import { Notice } from "../ui/states";
import { CredentialsForm, type Person } from "./credentials_form";
import { Gate } from "./gate";

/** An invitation's link; as with the claim, its token stands behind the #. */
export function Join() {
  const [token] = useState(() => location.hash.slice(1));
  const profile = useLoaded("join-profile", (signal) => call("GET /api/users/me", { signal }));
  const accepting = useDeed(async () => {
    const joined = await call("POST /api/account/invitations/accept", { body: { token } });
    await call("POST /api/accounts/switch", { body: { account_id: joined.account_id } });
    enter("/");
  });
  const registering = useDeed(async (person: Person) => {
    await call("POST /api/v1/auth/register", { body: { ...person, invitation: token } });
    enter("/");
  });
  const isKnown = profile.data !== undefined && profile.error === undefined;
  return (
    <Gate title="Join an account" note="Somebody invited you to see and use what they have here.">
      {!token && (
        <Notice tone="warn">This address lacks the part behind #: open the whole link that you were sent.</Notice>
      )}
      {token && isKnown && (
        <div class="card stack">
          <p>You are signed in as {profile.data?.email}.</p>
          {accepting.error && <Notice tone="bad">{accepting.error.message}</Notice>}
          <Button kind="main" isLarge isBusy={accepting.isBusy} onClick={() => void accepting.run()}>
            Join
          </Button>
        </div>
      )}
      {token && !isKnown && !profile.isLoading && (
        <CredentialsForm
          verb="Join"
          isNew
          isBusy={registering.isBusy}
          error={registering.error}
          onSend={(person) => void registering.run(person)}
        />
      )}
    </Gate>
  );
}
