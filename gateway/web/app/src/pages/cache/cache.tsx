import { call } from "../../core/api";
import { useLoaded } from "../../core/loading";
import { useMay } from "../../core/session";
import { PageHead } from "../../frame";
import { Card } from "../../ui/card";
import { Await, Empty } from "../../ui/states";
import { ProjectChoice, useProjectId } from "../projects/choice";
import { useProjects } from "../projects/shared";
import { Hits } from "./hits";
import { PolicyForm } from "./policy_form";
import { Purge } from "./purge";
import { Report } from "./report";

/** What the cache does for a project: which answers it may give again, at which bound on errors, and what that saves. */
export function Cache() {
  const projects = useProjects();
  const id = useProjectId();
  return (
    <>
      <PageHead title="Cache" aside={<ProjectChoice value={id} />}>
        Answers that were given before are given again: exact repeats for nothing, and what means the same within a
        bound on errors that you choose.
      </PageHead>
      <Await of={projects}>
        {(data) =>
          data.projects.length === 0 ? (
            <Card>
              <Empty title="No project yet">
                <p>The cache belongs to a project. Make one first.</p>
              </Empty>
            </Card>
          ) : (
            <OfProject key={id} id={id} />
          )
        }
      </Await>
    </>
  );
}

function OfProject({ id }: { id: string }) {
  const path = { project_id: id };
  const policy = useLoaded(`policy ${id}`, (signal) => call("GET /api/projects/{project_id}/cache", { path, signal }));
  const report = useLoaded(`report ${id}`, (signal) =>
    call("GET /api/projects/{project_id}/cache/report", { path, signal }),
  );
  const may = useMay("member");
  const reload = () => {
    policy.reload();
    report.reload();
  };
  return (
    <div class="stack">
      <Await of={policy}>
        {(data) => (
          <>
            <Report report={report} policy={data} projectId={id} may={may} onChanged={reload} />
            <div class="split">
              <PolicyForm policy={data} projectId={id} may={may} onChanged={reload} />
              <Purge projectId={id} may={may} />
            </div>
            <Hits projectId={id} may={may} />
          </>
        )}
      </Await>
    </div>
  );
}
