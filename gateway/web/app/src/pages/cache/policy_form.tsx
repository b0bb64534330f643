import { type Answer, call } from "../../core/api";
import { useDeed, useDraft } from "../../core/loading";
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

const HOUR_S = 3_600;
/** A year. */
const MOST_HOURS = 8_760;
/** As many decimals as tell every second. */
const DECIMALS = 5;
const toHours = (seconds: number): string => String(Number((seconds / HOUR_S).toFixed(DECIMALS)));
const toSeconds = (hours: string): number => Math.round(Number(hours) * HOUR_S);

/** What is to be other than it is, and nothing else: what was changed meanwhile elsewhere stays so. */
function changesOf<T extends object>(from: T, to: Partial<T>): Partial<T> {
  const isChanged = ([name, value]: [string, unknown]) => from[name as keyof T] !== value;
  return Object.fromEntries(Object.entries(to).filter(isChanged)) as Partial<T>;
}

interface PolicyProps {
  policy: Policy;
  projectId: string;
  may: boolean;
  onChanged: () => void;
}

/** The settings that hold for the project. */
export function PolicyForm({ policy, projectId, may, onChanged }: PolicyProps) {
  const [mode, setMode] = useDraft(policy.mode);
  const [scope, setScope] = useDraft(policy.scope);
  const [hours, setHours] = useDraft(toHours(policy.ttl_s));
  const [tools, setTools] = useDraft(policy.tool_calls);
  const [prompts, setPrompts] = useDraft(policy.prompts);
  const [judge, setJudge] = useDraft(policy.semantic_judge_model);
  const wanted = {
    mode,
    scope,
    ttl_s: toSeconds(hours),
    tool_calls: tools,
    prompts,
    semantic_judge_model: judge.trim(),
  };
  const changes = changesOf(policy, wanted);
  const deed = useDeed(async () => {
    await call("PATCH /api/projects/{project_id}/cache", { path: { project_id: projectId }, body: changes });
    onChanged();
  });
  const isChanged = Object.keys(changes).length > 0;
  return (
    <Card title="Settings" note="They hold within a second.">
      <Form verb="Save" deed={deed} isReady={may && isChanged && wanted.ttl_s > 0}>
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
          <Input
            label="Kept for, in hours"
            type="number"
            min={0}
            max={MOST_HOURS}
            step="any"
            required
            value={hours}
            onInput={setHours}
          />
          <Input
            label="Judge"
            hint="a model that is asked whether two answers say the same, where that is in doubt; it gets both"
            placeholder="none"
            disabled={!may}
            value={judge}
            onInput={setJudge}
          />
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
