import { useState } from "preact/hooks";
import { type Answer, call } from "../../core/api";
import { showMoment } from "../../core/format";
import { useDeed, useLoaded } from "../../core/loading";
import { Card } from "../../ui/card";
import { Check, Input } from "../../ui/field";
import { Form } from "../../ui/form";
import { Await } from "../../ui/states";

type Setting = Answer<"GET /api/projects/{project_id}/prompts">;

const USUAL_DAYS = 30;
const MAX_DAYS = 365;

/** Whether the project keeps what is asked and answered. */
export function Prompts({ projectId, may }: { projectId: string; may: boolean }) {
  const path = { project_id: projectId };
  const setting = useLoaded(`prompts ${projectId}`, (signal) =>
    call("GET /api/projects/{project_id}/prompts", { path, signal }),
  );
  return (
    <Card title="Prompts" note="Kept for nobody unless you say so here.">
      <Await of={setting}>
        {(data) => (
          <PromptsForm
            key={`${data.keep} ${data.retention_days}`}
            setting={data}
            projectId={projectId}
            may={may}
            onChanged={setting.reload}
          />
        )}
      </Await>
    </Card>
  );
}

interface FormProps {
  setting: Setting;
  projectId: string;
  may: boolean;
  onChanged: () => void;
}

function PromptsForm({ setting, projectId, may, onChanged }: FormProps) {
  const [keep, setKeep] = useState(setting.keep);
  const [days, setDays] = useState(String(setting.retention_days ?? USUAL_DAYS));
  const deed = useDeed(async () => {
    await call("PATCH /api/projects/{project_id}/prompts", {
      path: { project_id: projectId },
      body: keep ? { keep, retention_days: Number(days) } : { keep },
    });
    onChanged();
  });
  const isChanged = keep !== setting.keep || (keep && Number(days) !== setting.retention_days);
  return (
    <Form verb="Apply" deed={deed} isReady={may && isChanged}>
      <Check
        label="Keep questions and answers"
        hint="encrypted, and shown in a request's detail to everybody in the account but viewers"
        checked={keep}
        disabled={!may}
        onChange={setKeep}
      />
      {keep && (
        <Input
          label="Deleted after, in days"
          type="number"
          min={1}
          max={MAX_DAYS}
          required
          value={days}
          onInput={setDays}
        />
      )}
      {setting.keep && !keep && <p class="soft small">This deletes what was kept, at once.</p>}
      {setting.since && keep && <p class="faint small">Of calls since {showMoment(setting.since)}.</p>}
    </Form>
  );
}
