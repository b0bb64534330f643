import { useState } from "preact/hooks";
import { call } from "../../core/api";
import { useDeed, useLoaded } from "../../core/loading";
import { useSession } from "../../core/session";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Check, Input, Select } from "../../ui/field";
import { Notice } from "../../ui/states";
import { useProjects } from "../projects/shared";
import { PastWindows } from "./past_windows";
import type { Budget } from "./shared";

const SCOPES = [
  ["account", "The whole account"],
  ["project", "A project"],
  ["key", "A key"],
  ["tag", "A tag"],
] as const;
const SPANS = [
  ["hour", "An hour"],
  ["day", "A day"],
  ["week", "A week"],
  ["month", "A month"],
  ["total", "In all, for ever"],
] as const;

export function NewBudget({ onClose }: { onClose: () => void }) {
  const [scope, setScope] = useState<Budget["scope"]>("account");
  const [window, setWindow] = useState<Budget["window"]>("month");
  const [action, setAction] = useState<Budget["action"]>("block");
  const [limit, setLimit] = useState("");
  const [projectId, setProjectId] = useState("");
  const [keyId, setKeyId] = useState("");
  const [tag, setTag] = useState("");
  const [isInstallations, setInstallations] = useState(false);
  const { profile } = useSession();
  const projects = useProjects();
  const project = projectId || projects.data?.projects[0]?.id || "";
  const keys = useLoaded(scope === "key" && project ? `keys ${project}` : null, (signal) =>
    call("GET /api/projects/{project_id}/keys", { path: { project_id: project }, signal }),
  );
  const key = keyId || keys.data?.api_keys[0]?.id || "";
  const scopeId = { account: null, project, key, tag: tag.trim() }[scope];
  const installation = scope === "tag" && isInstallations;
  const deed = useDeed(async () => {
    await call("POST /api/budgets", {
      body: { scope, scope_id: scopeId, installation, window, limit_usd: limit.trim(), action },
    });
    onClose();
  });
  return (
    <Dialog title="New budget" onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void deed.run();
        }}
      >
        <Select label="For" value={scope} options={SCOPES} onChange={(value) => setScope(value as Budget["scope"])} />
        {(scope === "project" || scope === "key") && (
          <Select
            label="Project"
            value={project}
            options={(projects.data?.projects ?? []).map((each) => [each.id, each.name] as const)}
            onChange={setProjectId}
          />
        )}
        {scope === "key" && (
          <Select
            label="Key"
            value={key}
            options={(keys.data?.api_keys ?? []).map(
              (each) => [each.id, `${each.name || "unnamed"} · ${each.key}`] as const,
            )}
            onChange={setKeyId}
          />
        )}
        {scope === "tag" && <Input label="Tag" required value={tag} onInput={setTag} />}
        {scope === "tag" && profile.operator && (
          <Check
            label="Of the installation's projects"
            hint="those that the command line made; else of this account's"
            checked={isInstallations}
            onChange={setInstallations}
          />
        )}
        <div class="figures">
          <Input
            label="At most, in USD"
            required
            inputMode="decimal"
            pattern="\d+(\.\d{1,12})?"
            placeholder="100.00"
            value={limit}
            onInput={setLimit}
          />
          <Select
            label="Every"
            value={window}
            options={SPANS}
            onChange={(value) => setWindow(value as Budget["window"])}
          />
        </div>
        <Select
          label="What happens there"
          value={action}
          options={[
            ["block", "Refuse what goes beyond"],
            ["alert", "Only tell, at 50, 80 and 100%"],
          ]}
          onChange={(value) => setAction(value as Budget["action"])}
        />
        <PastWindows scope={scope} scopeId={scopeId} installation={installation} window={window} limit={limit} />
        {deed.error && <Notice tone="bad">{deed.error.message}</Notice>}
        <div class="ends">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="main" type="submit" isBusy={deed.isBusy} disabled={!limit.trim() || scopeId === ""}>
            Create budget
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
