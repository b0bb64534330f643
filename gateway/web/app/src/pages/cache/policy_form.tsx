import { useState } from "preact/hooks";
import { type Answer, call } from "../../core/api";
import { useDeed } from "../../core/loading";
import { Card } from "../../ui/card";
import { Check, Input, Select } from "../../ui/field";
import { Form } from "../../ui/form";
import { Segmented } from "../../ui/segmented";

export type Policy = Answer<"GET /api/projects/{project_id}/cache">;
export type Mode = Policy["mode"];

export const MODES: readonly (readonly [Mode, string])[] = [
  ["off", "Off"],
  ["exact", "Exact"],
  ["shadow", "Shadow"],
  ["semantic", "Semantic"],
];
const WORDS: Record<Mode, string> = {
  off: "Nothing is kept and nothing is looked up.",
  exact: "A call that says exactly what an earlier one said gets its answer.",
  shadow: "As exact. What means the same is looked up and judged, and not served: the report fills.",
  semantic: "What means the same is served too, within your bound on errors. It learns by itself.",
};

interface PolicyProps {
  policy: Policy;
  projectId: string;
  may: boolean;
  onChanged: () => void;
}

/** The settings that hold for the project. */
export function PolicyForm({ policy, projectId, may, onChanged }: PolicyProps) {
  const [mode, setMode] = useState(policy.mode);
  const [scope, setScope] = useState(policy.scope);
  const [hours, setHours] = useState(String(policy.ttl_s / 3_600));
  const [tools, setTools] = useState(policy.tool_calls);
  const [prompts, setPrompts] = useState(policy.prompts);
  const deed = useDeed(async () => {
    await call("PATCH /api/projects/{project_id}/cache", {
      path: { project_id: projectId },
      body: { mode, scope, ttl_s: Math.round(Number(hours) * 3_600), tool_calls: tools, prompts },
    });
    onChanged();
  });
  const isChanged =
    mode !== policy.mode ||
    scope !== policy.scope ||
    Number(hours) * 3_600 !== policy.ttl_s ||
    tools !== policy.tool_calls ||
    prompts !== policy.prompts;
  return (
    <Card title="Settings" note="They hold within a second.">
      <Form verb="Save" deed={deed} isReady={may && isChanged && Number(hours) > 0}>
        <div class="stack tight">
          <Segmented label="Mode" value={mode} options={MODES} onChange={setMode} />
          <p class="soft small">{WORDS[mode]}</p>
        </div>
        <div class="figures">
          <Select
            label="Shared among"
            value={scope}
            options={[
              ["project", "all keys of the project"],
              ["key", "each key by itself"],
            ]}
            onChange={(value) => setScope(value as Policy["scope"])}
          />
          <Input label="Kept for, in hours" type="number" min={0} required value={hours} onInput={setHours} />
        </div>
        <Check label="Keep answers that call tools" checked={tools} disabled={!may} onChange={setTools} />
        <Check
          label="Show questions and answers"
          hint="in the list of finds, to everybody who may see the project"
          checked={prompts}
          disabled={!may}
          onChange={setPrompts}
        />
      </Form>
    </Card>
  );
}
