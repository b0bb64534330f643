import { useState } from "preact/hooks";
import { call } from "../../core/api";
import { useDeed, useLoaded } from "../../core/loading";
import { useMay, useSession } from "../../core/session";
import { applyTheme, readTheme, type Theme } from "../../core/theme";
import { PageHead } from "../../frame";
import { Card } from "../../ui/card";
import { Input } from "../../ui/field";
import { Form } from "../../ui/form";
import { Segmented } from "../../ui/segmented";
import { Await, Badge, Notice } from "../../ui/states";
import { Sessions } from "./sessions";

/** What is the person's own, what is the account's, and how the gateway is. */
export function Settings() {
  return (
    <>
      <PageHead title="Settings" />
      <div class="split">
        <div class="stack">
          <Appearance />
          <Password />
          <Gateway />
        </div>
        <div class="stack">
          <Profile />
          <Account />
        </div>
      </div>
      <div class="stack" style={{ marginTop: "var(--space-4)" }}>
        <Sessions />
      </div>
    </>
  );
}

function Appearance() {
  const [theme, setTheme] = useState<Theme>(readTheme);
  const change = (wanted: Theme) => {
    applyTheme(wanted);
    setTheme(wanted);
  };
  return (
    <Card title="Appearance" note="Kept in this browser.">
      <Segmented
        label="Theme"
        value={theme}
        options={[
          ["system", "As the system"],
          ["light", "Light"],
          ["dark", "Dark"],
        ]}
        onChange={change}
      />
    </Card>
  );
}

function Profile() {
  const { profile, reload } = useSession();
  const [name, setName] = useState(profile.full_name);
  const deed = useDeed(async () => {
    await call("PATCH /api/users/me", { body: { full_name: name.trim() } });
    reload();
  });
  return (
    <Card title="You" note={profile.email}>
      <Form verb="Save" deed={deed} isReady={name.trim() !== profile.full_name}>
        <Input label="Name" autocomplete="name" maxLength={128} value={name} onInput={setName} />
        {profile.operator && (
          <p>
            <Badge tone="accent">operator</Badge>{" "}
            <span class="soft">You see what belongs to no account, and everybody who signed up.</span>
          </p>
        )}
      </Form>
    </Card>
  );
}

function Password() {
  const [old, setOld] = useState("");
  const [wanted, setWanted] = useState("");
  const [isDone, setDone] = useState(false);
  const deed = useDeed(async () => {
    setDone(false);
    await call("POST /api/v1/auth/password", { body: { current_password: old, new_password: wanted } });
    setOld("");
    setWanted("");
    setDone(true);
  });
  return (
    <Card title="Password" note="Changing it ends all your other sessions.">
      <Form verb="Change password" deed={deed} isReady={old !== "" && wanted !== ""}>
        <Input
          label="Current password"
          type="password"
          autocomplete="current-password"
          required
          value={old}
          onInput={setOld}
        />
        <Input
          label="New password"
          type="password"
          autocomplete="new-password"
          required
          minLength={8}
          value={wanted}
          onInput={setWanted}
        />
        {isDone && (
          <Notice tone="good" icon="check">
            Changed.
          </Notice>
        )}
      </Form>
    </Card>
  );
}

function Account() {
  const { account, reload } = useSession();
  const may = useMay("owner");
  const [name, setName] = useState(account.name);
  const [zone, setZone] = useState(account.zone);
  const deed = useDeed(async () => {
    await call("PATCH /api/account", { body: { name: name.trim(), zone: zone.trim() } });
    reload();
  });
  const isChanged = name.trim() !== account.name || zone.trim() !== account.zone;
  return (
    <Card title="Account" note={`Plan ${account.plan}; you are its ${account.role}.`}>
      <Form verb="Save" deed={deed} isReady={may && isChanged}>
        <Input label="Name" maxLength={128} disabled={!may} value={name} onInput={setName} />
        <Input
          label="Zone"
          disabled={!may}
          hint="Where its days and months begin, such as Europe/Berlin. Budgets start anew there."
          value={zone}
          onInput={setZone}
        />
      </Form>
    </Card>
  );
}

function Gateway() {
  const health = useLoaded("health", (signal) => call("GET /health", { signal }));
  return (
    <Card title="Gateway" note="What it stands on.">
      <Await of={health} lines={3}>
        {(data) => (
          <div class="stack tight">
            {Object.entries(data.checks).map(([name, check]) => (
              <div key={name} class="row apart">
                <span>{name === "redis" ? "Redis" : "Database"}</span>
                {check.configured === false ? (
                  <Badge>not used</Badge>
                ) : (
                  <Badge tone={check.healthy ? "good" : "bad"}>
                    {check.healthy ? `answers in ${check.response_time_ms} ms` : "does not answer"}
                  </Badge>
                )}
              </div>
            ))}
            <p class="soft small" style={{ marginTop: "var(--space-2)" }}>
              <a href="/docs" data-outside>
                Reference of the API
              </a>{" "}
              ·{" "}
              <a href="/schema/openapi.json" data-outside>
                OpenAPI
              </a>
            </p>
          </div>
        )}
      </Await>
    </Card>
  );
}
