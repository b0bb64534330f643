import { useState } from "preact/hooks";
import { call } from "../../core/api";
import { showShare } from "../../core/format";
import { useDeed, useLoaded } from "../../core/loading";
import { go } from "../../core/router";
import { useMay } from "../../core/session";
import { PageHead } from "../../frame";
import { Button } from "../../ui/button";
import { Confirm, Dialog } from "../../ui/dialog";
import { Input } from "../../ui/field";
import { Amount, Count, Stat } from "../../ui/figures";
import { Await, Notice } from "../../ui/states";
import { Keys } from "./keys";
import { Prompts } from "./prompts";

/** One project: its figures and its keys. */
export function ProjectPage({ id }: { id: string }) {
  const path = { project_id: id };
  const project = useLoaded(`project ${id}`, (signal) => call("GET /api/projects/{project_id}", { path, signal }));
  const [asked, setAsked] = useState<"rename" | "delete" | null>(null);
  const may = useMay("admin");
  return (
    <Await of={project}>
      {(data) => (
        <>
          <PageHead
            title={data.name}
            aside={
              <>
                <a class="button" href={`/?project=${id}`}>
                  Overview
                </a>
                <a class="button" href={`/requests?project=${id}`}>
                  Requests
                </a>
                <a class="button" href={`/cache?project=${id}`}>
                  Cache
                </a>
                {may && <Button onClick={() => setAsked("rename")}>Rename</Button>}
                {may && (
                  <Button kind="danger" onClick={() => setAsked("delete")}>
                    Delete
                  </Button>
                )}
              </>
            }
          >
            <span class="mono small">{data.id}</span>
          </PageHead>
          <div class="stack">
            <div class="card">
              <div class="inside figures">
                <Stat name="Spent this month">
                  <Amount usd={data.stats.cost_this_month} />
                </Stat>
                <Stat name="Spent in all">
                  <Amount usd={data.stats.cost_total} />
                </Stat>
                <Stat name="Requests this month">
                  <Count of={data.stats.requests_this_month} />
                </Stat>
                <Stat name="From the cache">{showShare(data.stats.cache_hit_rate)}</Stat>
              </div>
            </div>
            <Keys projectId={id} />
            <Prompts projectId={id} may={may} />
          </div>
          {asked === "rename" && (
            <Rename
              id={id}
              name={data.name}
              onClose={() => {
                setAsked(null);
                project.reload();
              }}
            />
          )}
          {asked === "delete" && <Delete id={id} name={data.name} onClose={() => setAsked(null)} />}
        </>
      )}
    </Await>
  );
}

function Rename({ id, name, onClose }: { id: string; name: string; onClose: () => void }) {
  const [wanted, setWanted] = useState(name);
  const deed = useDeed(async () => {
    await call("PATCH /api/projects/{project_id}", { path: { project_id: id }, body: { name: wanted.trim() } });
    onClose();
  });
  return (
    <Dialog title="Rename project" onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void deed.run();
        }}
      >
        <Input label="Name" required maxLength={128} value={wanted} onInput={setWanted} />
        {deed.error && <Notice tone="bad">{deed.error.message}</Notice>}
        <div class="ends">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="main" type="submit" isBusy={deed.isBusy}>
            Rename
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function Delete({ id, name, onClose }: { id: string; name: string; onClose: () => void }) {
  const deed = useDeed(async () => {
    await call("DELETE /api/projects/{project_id}", { path: { project_id: id } });
    go("/projects");
  });
  return (
    <Confirm
      title={`Delete ${name}?`}
      verb="Delete project"
      isBusy={deed.isBusy}
      error={deed.error}
      onConfirm={() => void deed.run()}
      onClose={onClose}
    >
      All its keys stop working within a second. What it used and spent stays in the account's figures.
    </Confirm>
  );
}
