import { useState } from "preact/hooks";
import { type Answer, call } from "../../core/api";
import { useDeed, useLoaded } from "../../core/loading";
import { Button } from "../../ui/button";
import { Card } from "../../ui/card";
import { Confirm, Dialog } from "../../ui/dialog";
import { Input, Select } from "../../ui/field";
import { Ago } from "../../ui/figures";
import { Form } from "../../ui/form";
import { Scroll } from "../../ui/scroll";
import { Await, Empty } from "../../ui/states";

type Credential = Answer<"GET /api/providers">["providers"][number];
const KNOWN = ["openai", "anthropic", "groq", "openrouter"];
const OTHER = "other";

interface CredentialsProps {
  /** null: the operator's own. */
  projectId: string | null;
  title: string;
  may: boolean;
}

/** Keys at providers; only their ends can be seen. */
export function Credentials({ projectId, title, may }: CredentialsProps) {
  const stored = useLoaded(`credentials ${projectId}`, (signal) =>
    projectId === null
      ? call("GET /api/providers", { signal })
      : call("GET /api/projects/{project_id}/providers", { path: { project_id: projectId }, signal }),
  );
  const [isMaking, setMaking] = useState(false);
  const [doomed, setDoomed] = useState<Credential | null>(null);
  const close = () => {
    setMaking(false);
    setDoomed(null);
    stored.reload();
  };
  return (
    <Card
      title={title}
      isFlush
      aside={
        may && (
          <Button icon="plus" onClick={() => setMaking(true)}>
            Store a key
          </Button>
        )
      }
    >
      <Await of={stored} lines={2}>
        {(data) =>
          data.providers.length === 0 ? (
            <Empty icon="keys" title="None stored">
              <p>Calls are sent with the next key in line, where there is one.</p>
            </Empty>
          ) : (
            <Scroll>
              <table>
                <thead>
                  <tr>
                    <th scope="col">Provider</th>
                    <th scope="col">Key</th>
                    <th scope="col">Address</th>
                    <th scope="col" class="number">
                      Last used
                    </th>
                    <th scope="col">
                      <span class="unseen">What to do</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {data.providers.map((each) => (
                    <tr key={each.id}>
                      <td>
                        {each.provider}
                        {each.name && <span class="sub">{each.name}</span>}
                      </td>
                      <td class="mono small">{each.api_key}</td>
                      <td class="soft">{each.base_url ?? "the provider's own"}</td>
                      <td class="number soft">
                        <Ago at={each.last_used_at} />
                      </td>
                      <td class="number">
                        {may && (
                          <Button kind="quiet" onClick={() => setDoomed(each)}>
                            Remove
                          </Button>
                        )}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          )
        }
      </Await>
      {isMaking && <Store projectId={projectId} onClose={close} />}
      {doomed && <Remove projectId={projectId} of={doomed} onClose={close} />}
    </Card>
  );
}

function Store({ projectId, onClose }: { projectId: string | null; onClose: () => void }) {
  const [choice, setChoice] = useState("openai");
  const [other, setOther] = useState("");
  const [key, setKey] = useState("");
  const [address, setAddress] = useState("");
  const provider = choice === OTHER ? other.trim() : choice;
  const deed = useDeed(async () => {
    const body = { provider, api_key: key.trim(), base_url: address.trim() || null };
    if (projectId === null) await call("POST /api/providers", { body });
    else await call("POST /api/projects/{project_id}/providers", { path: { project_id: projectId }, body });
    onClose();
  });
  return (
    <Dialog title="Store a provider's key" onClose={onClose}>
      <Form verb="Store" deed={deed} isReady={provider !== "" && key.trim() !== ""} onCancel={onClose}>
        <Select
          label="Provider"
          value={choice}
          options={[...KNOWN.map((name) => [name, name] as const), [OTHER, "another of the configuration"]]}
          onChange={setChoice}
        />
        {choice === OTHER && <Input label="Its name" required value={other} onInput={setOther} />}
        <Input
          label="Key"
          type="password"
          autocomplete="off"
          required
          hint="Encrypted with a data key of its own, and never shown again but for its ends."
          value={key}
          onInput={setKey}
        />
        <Input
          label="Address"
          placeholder="the provider's own"
          hint="Must be https and public."
          value={address}
          onInput={setAddress}
        />
      </Form>
    </Dialog>
  );
}

function Remove({ projectId, of, onClose }: { projectId: string | null; of: Credential; onClose: () => void }) {
  const deed = useDeed(async () => {
    if (projectId === null) await call("DELETE /api/providers/{provider}", { path: { provider: of.provider } });
    else
      await call("DELETE /api/projects/{project_id}/providers/{provider}", {
        path: { project_id: projectId, provider: of.provider },
      });
    onClose();
  });
  return (
    <Confirm
      title={`Remove the key at ${of.provider}?`}
      verb="Remove"
      isBusy={deed.isBusy}
      error={deed.error}
      onConfirm={() => void deed.run()}
      onClose={onClose}
    >
      Calls are sent with the next key in line within a second, or refused where there is none.
    </Confirm>
  );
}
