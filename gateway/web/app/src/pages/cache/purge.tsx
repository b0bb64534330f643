import { useState } from "preact/hooks";
import { call } from "../../core/api";
import { plural } from "../../core/format";
import { useDeed } from "../../core/loading";
import { Card } from "../../ui/card";
import { Confirm } from "../../ui/dialog";
import { Input } from "../../ui/field";
import { Form } from "../../ui/form";
import { Notice } from "../../ui/states";

/** Forgets answers: those that meet every term given, or all of the project. */
export function Purge({ projectId, may }: { projectId: string; may: boolean }) {
  const [model, setModel] = useState("");
  const [tag, setTag] = useState("");
  const [before, setBefore] = useState("");
  const [isAsking, setAsking] = useState(false);
  const [purged, setPurged] = useState<number | null>(null);
  const isAll = !model.trim() && !tag.trim() && !before;
  const deed = useDeed(async () => {
    const answer = await call("DELETE /api/projects/{project_id}/cache", {
      path: { project_id: projectId },
      query: { model: model.trim(), tag: tag.trim(), before: before ? new Date(before).toISOString() : "" },
    });
    setPurged(answer.purged);
    setAsking(false);
  });
  const asking = { run: async () => setAsking(true), isBusy: false, error: undefined };
  return (
    <Card title="Purge" note="What meets every term goes; no term: everything of this project.">
      <Form verb={isAll ? "Purge everything" : "Purge"} deed={asking} isReady={may}>
        <div class="figures">
          <Input label="Model" placeholder="any" value={model} onInput={setModel} />
          <Input label="Tag" placeholder="any" value={tag} onInput={setTag} />
          <Input label="Kept before" type="date" value={before} onInput={setBefore} />
        </div>
        {purged !== null && (
          <Notice tone="good" icon="check">
            {plural(purged, "answer")} forgotten.
          </Notice>
        )}
      </Form>
      {isAsking && (
        <Confirm
          title={isAll ? "Purge everything?" : "Purge these answers?"}
          verb="Purge"
          isBusy={deed.isBusy}
          error={deed.error}
          onConfirm={() => void deed.run()}
          onClose={() => setAsking(false)}
        >
          They are gone in every process within a second; the next calls that ask the same are sent to providers again.
        </Confirm>
      )}
    </Card>
  );
}
