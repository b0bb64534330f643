import { useState } from "preact/hooks";
import { call } from "../../core/api";
import { useDeed, useLoaded } from "../../core/loading";
import type { KeyView } from "../../core/schema";
import { useMay } from "../../core/session";
import { Button } from "../../ui/button";
import { Card } from "../../ui/card";
import { Confirm } from "../../ui/dialog";
import { Ago } from "../../ui/figures";
import { Scroll } from "../../ui/scroll";
import { Await, Badge, Empty } from "../../ui/states";
import { EditKey, NewKey } from "./key_form";
import { ShownOnce } from "./shown_once";

type Asked = { what: "new" } | { what: "edit" | "revoke" | "rotate"; key: KeyView };

export function Keys({ projectId }: { projectId: string }) {
  const path = { project_id: projectId };
  const keys = useLoaded(`keys ${projectId}`, (signal) =>
    call("GET /api/projects/{project_id}/keys", { path, signal }),
  );
  const [asked, setAsked] = useState<Asked | null>(null);
  const may = useMay("member");
  const close = () => {
    setAsked(null);
    keys.reload();
  };
  return (
    <Card
      title="Keys"
      isFlush
      aside={
        may && (
          <Button kind="main" icon="plus" onClick={() => setAsked({ what: "new" })}>
            New key
          </Button>
        )
      }
    >
      <Await of={keys}>
        {(data) =>
          data.api_keys.length === 0 ? (
            <Empty title="No keys">
              <p>A program needs one to call the gateway.</p>
            </Empty>
          ) : (
            <Scroll>
              <table>
                <thead>
                  <tr>
                    <th scope="col">Key</th>
                    <th scope="col">Kind</th>
                    <th scope="col">Limits</th>
                    <th scope="col" class="number">
                      Last used
                    </th>
                    <th scope="col">
                      <span class="unseen">What to do</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {data.api_keys.map((key) => (
                    <Row key={key.id} of={key} may={may} onAsk={(what) => setAsked({ what, key })} />
                  ))}
                </tbody>
              </table>
            </Scroll>
          )
        }
      </Await>
      {asked?.what === "new" && <NewKey projectId={projectId} onClose={close} />}
      {asked?.what === "edit" && <EditKey projectId={projectId} of={asked.key} onClose={close} />}
      {asked?.what === "revoke" && <Revoke projectId={projectId} of={asked.key} onClose={close} />}
      {asked?.what === "rotate" && <Rotate projectId={projectId} of={asked.key} onClose={close} />}
    </Card>
  );
}

function Row({ of, may, onAsk }: { of: KeyView; may: boolean; onAsk: (what: "edit" | "revoke" | "rotate") => void }) {
  const limits = [
    of.requests_per_minute && `${of.requests_per_minute} requests/min`,
    of.tokens_per_minute && `${of.tokens_per_minute} tokens/min`,
    of.max_concurrent && `${of.max_concurrent} at once`,
    of.allowed_models && (of.allowed_models.join(", ") || "no model"),
    of.expires_at && `until ${new Date(of.expires_at).toLocaleDateString()}`,
  ].filter(Boolean);
  return (
    <tr>
      <td>
        {of.name || <span class="faint">unnamed</span>}
        <span class="sub mono">{of.key}</span>
      </td>
      <td>
        <span class="row">
          <Badge tone={of.kind === "test" ? "" : "accent"}>{of.kind === "test" ? "sandbox" : "live"}</Badge>
          {of.manage && <Badge>manages cache</Badge>}
          {of.tags.map((tag) => (
            <Badge key={tag}>{tag}</Badge>
          ))}
        </span>
      </td>
      <td class="soft small">{limits.length > 0 ? limits.join(" · ") : "none"}</td>
      <td class="number soft">
        <Ago at={of.last_used_at} />
      </td>
      <td class="number">
        {may && (
          <>
            <Button kind="quiet" onClick={() => onAsk("edit")}>
              Edit
            </Button>
            <Button kind="quiet" onClick={() => onAsk("rotate")}>
              Rotate
            </Button>
            <Button kind="quiet" onClick={() => onAsk("revoke")}>
              Revoke
            </Button>
          </>
        )}
      </td>
    </tr>
  );
}

function Revoke({ projectId, of, onClose }: { projectId: string; of: KeyView; onClose: () => void }) {
  const deed = useDeed(async () => {
    await call("DELETE /api/projects/{project_id}/keys/{key_id}", { path: { project_id: projectId, key_id: of.id } });
    onClose();
  });
  return (
    <Confirm
      title="Revoke this key?"
      verb="Revoke key"
      isBusy={deed.isBusy}
      error={deed.error}
      onConfirm={() => void deed.run()}
      onClose={onClose}
    >
      {of.name || of.key} stops working everywhere within a second, and so does every key that it made.
    </Confirm>
  );
}

function Rotate({ projectId, of, onClose }: { projectId: string; of: KeyView; onClose: () => void }) {
  const [secret, setSecret] = useState<string | null>(null);
  const deed = useDeed(async () => {
    const made = await call("POST /api/projects/{project_id}/keys/{key_id}/rotate", {
      path: { project_id: projectId, key_id: of.id },
      body: {},
    });
    setSecret(made.key);
  });
  if (secret)
    return (
      <ShownOnce
        title="The new key"
        secret={secret}
        onClose={onClose}
        note="The old key stays valid for a day, so that programs can change over."
      />
    );
  return (
    <Confirm
      title="Rotate this key?"
      verb="Make the new key"
      isBusy={deed.isBusy}
      error={deed.error}
      onConfirm={() => void deed.run()}
      onClose={onClose}
    >
      A new key with the same rights and limits takes its place. The old one stays valid for a day.
    </Confirm>
  );
}
