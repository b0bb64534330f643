import { useEffect, useState } from "preact/hooks";
import { call } from "../core/api";
import { useDeed, useLoaded } from "../core/loading";
import { enter } from "../core/session";
import { Button } from "../ui/button";
import { Notice } from "../ui/states";
import { CredentialsForm, type Person } from "./credentials_form";
import { Gate } from "./gate";

/** The link that the first start printed: whoever opens it becomes the operator, once. Its token stands behind the #,
 * which browsers send to nobody. */
export function Claim() {
  const [token, setToken] = useState(() => location.hash.slice(1));
  useEffect(() => {
    const read = () => setToken(location.hash.slice(1));
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }, []);
  const profile = useLoaded("claim-profile", (signal) => call("GET /api/users/me", { signal }));
  const registering = useDeed(async (person: Person) => {
    await call("POST /api/v1/auth/register", { body: { ...person, claim: token } });
    enter("/welcome");
  });
  const claiming = useDeed(async () => {
    await call("POST /api/v1/auth/claim", { body: { claim: token } });
    enter("/welcome");
  });
  const isKnown = profile.data !== undefined && profile.error === undefined;
  return (
    <Gate
      title="Make it yours"
      note="Whoever fills this in becomes the operator: they see the projects that belong to nobody else, and everybody who signs up. The link works once."
    >
      {!token && (
        <Notice tone="warn">This address lacks the part behind #: open the whole link that the start printed.</Notice>
      )}
      {token && isKnown && (
        <div class="card stack">
          <p>You are signed in as {profile.data?.email}.</p>
          {claiming.error && <Notice tone="bad">{claiming.error.message}</Notice>}
          <Button kind="main" isLarge isBusy={claiming.isBusy} onClick={() => void claiming.run()}>
            Become the operator
          </Button>
        </div>
      )}
      {token && !isKnown && !profile.isLoading && (
        <CredentialsForm
          verb="Become the operator"
          isNew
          isBusy={registering.isBusy}
          error={registering.error}
          onSend={(person) => void registering.run(person)}
        />
      )}
    </Gate>
  );
}
