import { useState } from "preact/hooks";
import { call } from "../../core/api";
import { useDeed } from "../../core/loading";
import type { KeyView } from "../../core/schema";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Check, Input, Select } from "../../ui/field";
import { Notice } from "../../ui/states";
import { ShownOnce } from "./shown_once";

interface Limits {
  name: string;
  models: string;
  tags: string;
  expires: string;
  requests: string;
  tokens: string;
  concurrent: string;
}

const words = (text: string): string[] => text.split(/[,\s]+/).filter(Boolean);
const whole = (text: string): number | null => (text.trim() ? Number(text) : null);

function bodyOf(limits: Limits) {
  const models = words(limits.models);
  return {
    name: limits.name.trim(),
    allowed_models: models.length > 0 ? models : null,
    tags: words(limits.tags),
    expires_at: limits.expires ? new Date(`${limits.expires}T23:59:59`).toISOString() : null,
    requests_per_minute: whole(limits.requests),
    tokens_per_minute: whole(limits.tokens),
    max_concurrent: whole(limits.concurrent),
  };
}

export function NewKey({ projectId, onClose }: { projectId: string; onClose: () => void }) {
  const [limits, setLimits] = useState<Limits>({
    name: "",
    models: "",
    tags: "",
    expires: "",
    requests: "",
    tokens: "",
    concurrent: "",
  });
  const [kind, setKind] = useState<"live" | "test">("live");
  const [manage, setManage] = useState(false);
  const [secret, setSecret] = useState<string | null>(null);
  const deed = useDeed(async () => {
    const made = await call("POST /api/projects/{project_id}/keys", {
      path: { project_id: projectId },
      body: { ...bodyOf(limits), kind, manage },
    });
    setSecret(made.key);
  });
  if (secret) return <ShownOnce title="The new key" secret={secret} onClose={onClose} />;
  return (
    <Dialog title="New key" onClose={onClose}>
      <KeyForm limits={limits} onChange={setLimits} verb="Create key" deed={deed} onClose={onClose}>
        <Select
          label="Kind"
          value={kind}
          options={[
            ["live", "Live: reaches your providers"],
            ["test", "Sandbox: free, calls nobody"],
          ]}
          onChange={(value) => setKind(value as "live" | "test")}
        />
        <Check label="May change the project's cache" checked={manage} onChange={setManage} />
      </KeyForm>
    </Dialog>
  );
}

/** What a person changed: what is sent is set, and a limit that is set no longer counts with the key's maker. */
function changesOf(before: Limits, after: Limits) {
  const was = bodyOf(before);
  const entries = Object.entries(bodyOf(after));
  return Object.fromEntries(
    entries.filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(was[name as keyof typeof was])),
  );
}

export function EditKey({ projectId, of, onClose }: { projectId: string; of: KeyView; onClose: () => void }) {
  const before: Limits = {
    name: of.name,
    models: (of.allowed_models ?? []).join(", "),
    tags: of.tags.join(", "),
    expires: of.expires_at?.slice(0, 10) ?? "",
    requests: String(of.requests_per_minute ?? ""),
    tokens: String(of.tokens_per_minute ?? ""),
    concurrent: String(of.max_concurrent ?? ""),
  };
  const [limits, setLimits] = useState(before);
  const deed = useDeed(async () => {
    const body = changesOf(before, limits);
    if (Object.keys(body).length > 0) {
      await call("PATCH /api/projects/{project_id}/keys/{key_id}", {
        path: { project_id: projectId, key_id: of.id },
        body,
      });
    }
    onClose();
  });
  return (
    <Dialog title="Edit key" onClose={onClose}>
      <KeyForm limits={limits} onChange={setLimits} verb="Save" deed={deed} onClose={onClose} />
    </Dialog>
  );
}

interface FormProps {
  limits: Limits;
  onChange: (limits: Limits) => void;
  verb: string;
  deed: ReturnType<typeof useDeed<[]>>;
  onClose: () => void;
  children?: preact.ComponentChildren;
}

function KeyForm({ limits, onChange, verb, deed, onClose, children }: FormProps) {
  const field = (name: keyof Limits) => ({
    value: limits[name],
    onInput: (value: string) => onChange({ ...limits, [name]: value }),
  });
  const count = { type: "number" as const, min: 1, step: 1, placeholder: "no limit" };
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void deed.run();
      }}
    >
      <Input label="Name" maxLength={128} placeholder="production" {...field("name")} />
      {children}
      <div class="figures">
        <Input label="Requests a minute" {...count} {...field("requests")} />
        <Input label="Tokens a minute" {...count} {...field("tokens")} />
        <Input label="At once" {...count} {...field("concurrent")} />
      </div>
      <Input label="Models" placeholder="all" hint="Names with commas between them." {...field("models")} />
      <Input label="Tags" placeholder="none" hint="Kept with each of its calls." {...field("tags")} />
      <Input label="Last day" type="date" {...field("expires")} />
      {deed.error && <Notice tone="bad">{deed.error.message}</Notice>}
      <div class="ends">
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="main" type="submit" isBusy={deed.isBusy}>
          {verb}
        </Button>
      </div>
    </form>
  );
}
