import { useMay, useSession } from "../../core/session";
import { PageHead } from "../../frame";
import { ProjectChoice, useProjectId } from "../projects/choice";
import { Credentials } from "./credentials";

/** Whose keys calls are sent with. */
export function Providers() {
  const { profile } = useSession();
  const id = useProjectId();
  const may = useMay("admin");
  return (
    <>
      <PageHead title="Providers" aside={<ProjectChoice value={id} />}>
        A call is sent with the project's own key, else with the operator's, else with the configuration's. Keys are
        encrypted and never shown again.
      </PageHead>
      <div class="stack">
        {id && <Credentials projectId={id} title="Keys of this project" may={may} />}
        {profile.operator && (
          <Credentials projectId={null} title="The operator's keys, for every project without one" may />
        )}
      </div>
    </>
  );
}
