import { useState } from "preact/hooks";
import { type Answer, call } from "../../core/api";
import { showSpan } from "../../core/format";
import { useDeed } from "../../core/loading";
import { Dialog } from "../../ui/dialog";
import { Input } from "../../ui/field";
import { Amount } from "../../ui/figures";
import { Form } from "../../ui/form";
import { Notice } from "../../ui/states";

type Tested = Answer<"POST /api/projects/{project_id}/providers/{provider}/test">;

/** A real call of a few tokens, to see whether the key and the way are good. */
export function TestCall({
  projectId,
  provider,
  onClose,
}: {
  projectId: string;
  provider: string;
  onClose: () => void;
}) {
  const [model, setModel] = useState("");
  const [tested, setTested] = useState<Tested | null>(null);
  const deed = useDeed(async () => {
    setTested(null);
    setTested(
      await call("POST /api/projects/{project_id}/providers/{provider}/test", {
        path: { project_id: projectId, provider },
        body: { model: model.trim() || null },
      }),
    );
  });
  return (
    <Dialog title={`Test ${provider}`} onClose={onClose}>
      <p class="soft">Sends a call of a few tokens as this project would, and is charged to it.</p>
      <Form verb="Send" deed={deed} onCancel={onClose}>
        <Input label="Model" placeholder="one that is cheap" value={model} onInput={setModel} />
        {tested && (
          <Notice tone={tested.ok ? "good" : "bad"} icon={tested.ok ? "check" : "warning"}>
            {tested.ok ? (
              <>
                {tested.model} answered in {showSpan(tested.latency_ms)} for <Amount usd={tested.cost_usd} />.
              </>
            ) : (
              <>
                {tested.http_status} {tested.error_code}: {tested.message}
              </>
            )}
          </Notice>
        )}
      </Form>
    </Dialog>
  );
}
