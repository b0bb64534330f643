import { useState } from "preact/hooks";
import { call } from "../../core/api";
import { showShare } from "../../core/format";
import { useDeed } from "../../core/loading";
import { go } from "../../core/router";
import { useMay } from "../../core/session";
import { PageHead } from "../../frame";
import { Button } from "../../ui/button";
import { Card } from "../../ui/card";
import { Dialog } from "../../ui/dialog";
import { Input } from "../../ui/field";
import { Ago, Amount, Count } from "../../ui/figures";
import { Scroll } from "../../ui/scroll";
import { Await, Empty, Notice } from "../../ui/states";
import { ProjectPage } from "./project";
import { type ProjectList, useProjects } from "./shared";
import { ShownOnce } from "./shown_once";

export function Projects({ id }: { id: string }) {
  return id ? <ProjectPage key={id} id={id} /> : <AllProjects />;
}

function AllProjects() {
  const projects = useProjects();
  const may = useMay("admin");
  const [isMaking, setMaking] = useState(false);
  return (
    <>
      <PageHead
        title="Projects and keys"
        aside={
          may && (
            <Button kind="main" icon="plus" onClick={() => setMaking(true)}>
              New project
            </Button>
          )
        }
      >
        A project has its own keys, figures, cache and provider credentials.
      </PageHead>
      <Card isFlush>
        <Await of={projects}>{(data) => <List projects={data.projects} />}</Await>
      </Card>
      {isMaking && (
        <NewProject
          onClose={() => {
            setMaking(false);
            projects.reload();
          }}
        />
      )}
    </>
  );
}

function List({ projects }: { projects: ProjectList["projects"] }) {
  if (projects.length === 0)
    return (
      <Empty title="No project yet">
        <p>Make one to get a key for your first program.</p>
      </Empty>
    );
  return (
    <Scroll>
      <table>
        <thead>
          <tr>
            <th scope="col">Project</th>
            <th scope="col" class="number wide-only">
              Requests this month
            </th>
            <th scope="col" class="number">
              Cached
            </th>
            <th scope="col" class="number">
              Spent, month
            </th>
            <th scope="col" class="number wide-only">
              Made
            </th>
          </tr>
        </thead>
        <tbody>
          {projects.map((project) => (
            <tr key={project.id}>
              <td>
                <a href={`/projects/${project.id}`}>{project.name}</a>
              </td>
              <td class="number wide-only">
                <Count of={project.stats.requests_this_month} />
              </td>
              <td class="number">{showShare(project.stats.cache_hit_rate)}</td>
              <td class="number">
                <Amount usd={project.stats.cost_this_month} />
              </td>
              <td class="number soft wide-only">
                <Ago at={project.created_at} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function NewProject({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [made, setMade] = useState<{ id: string; key: string } | null>(null);
  const deed = useDeed(async () => {
    const project = await call("POST /api/projects", { body: { name: name.trim() } });
    setMade({ id: project.id, key: project.api_key });
  });
  if (made)
    return (
      <ShownOnce
        title={`${name.trim()} is ready`}
        secret={made.key}
        onClose={() => {
          onClose();
          go(`/projects/${made.id}`);
        }}
      />
    );
  return (
    <Dialog title="New project" onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void deed.run();
        }}
      >
        <Input
          label="Name"
          required
          maxLength={128}
          value={name}
          onInput={setName}
          hint="It comes with its first key."
        />
        {deed.error && <Notice tone="bad">{deed.error.message}</Notice>}
        <div class="ends">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="main" type="submit" isBusy={deed.isBusy} disabled={!name.trim()}>
            Create project
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
