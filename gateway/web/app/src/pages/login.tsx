import { call } from "../core/api";
import { useDeed } from "../core/loading";
import { usePlace } from "../core/router";
import { enter } from "../core/session";
import { CredentialsForm, type Person } from "./credentials_form";
import { Gate } from "./gate";

/** An address of the dashboard itself to go on to, never one of another host. */
export function nextAddress(text: string | null): string {
  return text && /^\/(?![/\\])/.test(text) ? text : "/";
}

export function Login() {
  const next = usePlace().query.get("next");
  const deed = useDeed(async ({ email, password }: Person) => {
    await call("POST /api/v1/auth/login", { body: { email, password } });
    enter(nextAddress(next));
  });
  return (
    <Gate
      title="Sign in"
      note="See what your models cost, and what the gateway saved."
      after={
        <>
          No account yet? <a href={`/register${location.search}`}>Create one</a>
        </>
      }
    >
      <CredentialsForm
        verb="Sign in"
        isNew={false}
        isBusy={deed.isBusy}
        error={deed.error}
        onSend={(person) => void deed.run(person)}
      />
    </Gate>
  );
}
