import { call } from "../core/api";
import { useDeed } from "../core/loading";
import { enter } from "../core/session";
import { CredentialsForm, type Person } from "./credentials_form";
import { Gate } from "./gate";

export function Register() {
  const deed = useDeed(async (person: Person) => {
    await call("POST /api/v1/auth/register", { body: { ...person } });
    enter("/welcome");
  });
  return (
    <Gate
      title="Create an account"
      note="One address for every model, each call metered to the picodollar."
      after={
        <>
          Been here before? <a href={`/login${location.search}`}>Sign in</a>
        </>
      }
    >
      <CredentialsForm
        verb="Create account"
        isNew
        isBusy={deed.isBusy}
        error={deed.error}
        onSend={(person) => void deed.run(person)}
      />
    </Gate>
  );
}
