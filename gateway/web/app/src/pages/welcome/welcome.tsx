import { useState } from "preact/hooks";
import { call } from "../../core/api";
import { showMoment, showSpan } from "../../core/format";
import { useDeed, useLoaded } from "../../core/loading";
import { useMay } from "../../core/session";
import { Button } from "../../ui/button";
import { Code } from "../../ui/copy";
import { Input } from "../../ui/field";
import { Amount } from "../../ui/figures";
import { Icon } from "../../ui/icon";
import { Segmented } from "../../ui/segmented";
import { Notice } from "../../ui/states";
import { Gate } from "../gate";
import { snippetsFor } from "./snippets";

interface Made {
  projectId: string;
  name: string;
  liveKey: string;
  testKey: string;
}

/** The first steps: a project, its key, a call, and seeing that it came. */
export function Welcome() {
  const [made, setMade] = useState<Made | null>(null);
  const may = useMay("admin");
  return (
    <Gate
      isBroad
      title="Make the first call"
      note="Three steps, and the gateway knows what your models cost."
      after={<a href="/">Go to the overview</a>}
    >
      {!may && <Notice tone="warn">Your role in this account does not make projects. Ask an admin for a key.</Notice>}
      <ol class="steps">
        <Step number={1} title="Name a project" isDone={made !== null} isNow={made === null}>
          {made ? <p class="soft">{made.name}</p> : <NameForm onMade={setMade} isAllowed={may} />}
        </Step>
        <Step number={2} title="Call it" isDone={false} isNow={made !== null}>
          {made && <Keys made={made} />}
        </Step>
        <Step number={3} title="Watch it arrive" isDone={false} isNow={made !== null}>
          {made && <Arrival made={made} />}
        </Step>
      </ol>
    </Gate>
  );
}

interface StepProps {
  number: number;
  title: string;
  isDone: boolean;
  isNow: boolean;
  children: preact.ComponentChildren;
}

function Step({ number, title, isDone, isNow, children }: StepProps) {
  return (
    <li class={`step ${isDone ? "done" : isNow ? "now" : ""}`} aria-current={isNow ? "step" : undefined}>
      <span class="mark">{isDone ? <Icon name="check" /> : number}</span>
      <div class="card stack">
        <h2>{title}</h2>
        {children}
      </div>
    </li>
  );
}

function NameForm({ onMade, isAllowed }: { onMade: (made: Made) => void; isAllowed: boolean }) {
  const [name, setName] = useState("");
  const deed = useDeed(async () => {
    const project = await call("POST /api/projects", { body: { name: name.trim() } });
    const test = await call("POST /api/projects/{project_id}/keys", {
      path: { project_id: project.id },
      body: { name: "Sandbox", kind: "test" },
    });
    onMade({ projectId: project.id, name: project.name, liveKey: project.api_key, testKey: test.key });
  });
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void deed.run();
      }}
    >
      <Input
        label="Name"
        name="project"
        required
        maxLength={128}
        placeholder="Checkout assistant"
        hint="One for each program or team whose cost you want to see by itself."
        value={name}
        onInput={setName}
        isLarge
      />
      {deed.error && <Notice tone="bad">{deed.error.message}</Notice>}
      <div>
        <Button kind="main" type="submit" isLarge isBusy={deed.isBusy} disabled={!isAllowed || !name.trim()}>
          Create project
        </Button>
      </div>
    </form>
  );
}

const KINDS = [
  ["test", "Sandbox key"],
  ["live", "Live key"],
] as const;

function Keys({ made }: { made: Made }) {
  const [kind, setKind] = useState<"test" | "live">("test");
  const [language, setLanguage] = useState("curl");
  const key = kind === "test" ? made.testKey : made.liveKey;
  const snippets = snippetsFor(`${location.origin}/v1`, key, "gpt-4o-mini");
  const snippet = snippets.find((each) => each.name === language) ?? snippets[0]!;
  return (
    <>
      <div class="row apart">
        <Segmented label="Kind of key" value={kind} options={KINDS} onChange={setKind} />
        <p class="soft small">
          {kind === "test"
            ? "Answered by the sandbox: free, no provider needed."
            : "Reaches your providers and costs what they charge."}
        </p>
      </div>
      <Code text={key} isLine />
      <Notice tone="warn">Both keys are shown only now. Keep them where you keep passwords.</Notice>
      <Segmented
        label="Language"
        value={language}
        options={snippets.map((each) => [each.name, each.name] as const)}
        onChange={setLanguage}
      />
      <Code text={snippet.code} />
    </>
  );
}

const WATCH_MS = 1_000;

function Arrival({ made }: { made: Made }) {
  const usage = useLoaded(
    `arrival ${made.projectId}`,
    (signal) =>
      call("GET /api/projects/{project_id}/usage", {
        path: { project_id: made.projectId },
        query: { limit: 1 },
        signal,
      }),
    WATCH_MS,
  );
  const first = usage.data?.logs[0];
  if (!first)
    return (
      <p class="soft row" role="status">
        <span class="dot pulse" style={{ color: "var(--accent)" }} />
        Waiting for the first call. It shows up here by itself.
      </p>
    );
  return (
    <>
      <Notice tone="good" icon="check">
        <strong>It came.</strong> {first.model} at {showMoment(first.created_at)}: {first.tokens_used} tokens in{" "}
        {showSpan(first.latency_ms)}, <Amount usd={first.cost_usd} />.
      </Notice>
      <div class="row">
        <a class="button main" href="/">
          Go to the overview
        </a>
        <a class="button" href="/providers">
          Add a provider's key
        </a>
      </div>
    </>
  );
}
