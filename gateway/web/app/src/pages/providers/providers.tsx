import { useState } from "preact/hooks";
import { type Answer, call } from "../../core/api";
import { showMoment, showShare } from "../../core/format";
import { useLoaded } from "../../core/loading";
import { useMay, useSession } from "../../core/session";
import { PageHead } from "../../frame";
import { Button } from "../../ui/button";
import { Card } from "../../ui/card";
import { Ago, Count } from "../../ui/figures";
import { Scroll } from "../../ui/scroll";
import { Await, Badge, Empty } from "../../ui/states";
import { ProjectChoice, useProjectId } from "../projects/choice";
import { useProjects } from "../projects/shared";
import { Credentials } from "./credentials";
import { TestCall } from "./test_call";

type Health = Answer<"GET /api/providers/health">["providers"][number];
const REFRESH_MS = 10_000;
const SOURCES: Record<Health["source"], string> = {
  configuration: "the configuration's key",
  operator: "the operator's key",
  project: "a project's key",
  bundled: "in this gateway",
};
const TONES = { closed: "good", open: "bad", "half-open": "warn" } as const;
const STATES = { closed: "well", open: "spared", "half-open": "being tried" } as const;

/** Who answers: whose key is used, how they are, and a call to try them. */
export function Providers() {
  const { profile } = useSession();
  const id = useProjectId();
  const projects = useProjects();
  const isChosen = id !== "" || projects.data !== undefined || projects.error !== undefined;
  const may = useMay("admin");
  return (
    <>
      <PageHead title="Providers" aside={<ProjectChoice value={id} />}>
        A call is sent with the project's own key, else with the operator's, else with the configuration's. Keys are
        encrypted and never shown again.
      </PageHead>
      <div class="stack">
        <HealthCard projectId={isChosen ? id : null} may={may} />
        {id && <Credentials projectId={id} title="Keys of this project" may={may} />}
        {profile.operator && (
          <Credentials projectId={null} title="The operator's keys, for every project without one" may />
        )}
      </div>
    </>
  );
}

/** `projectId` is null until it is known which it is, and empty where there is none. */
function HealthCard({ projectId, may }: { projectId: string | null; may: boolean }) {
  const health = useLoaded(
    projectId === null ? null : `provider-health ${projectId}`,
    (signal) => call("GET /api/providers/health", { query: projectId ? { project_id: projectId } : {}, signal }),
    REFRESH_MS,
  );
  const [tested, setTested] = useState<string | null>(null);
  return (
    <Card
      title="Health"
      note="The last hour. A provider that fails repeatedly is spared for a while; its last error is of the process that answers."
      isFlush
    >
      <Await of={health}>
        {(data) =>
          data.providers.length === 0 ? (
            <Empty icon="providers" title="No provider yet">
              <p>Store a key below, and calls reach that provider within a second.</p>
            </Empty>
          ) : (
            <Scroll>
              <table>
                <thead>
                  <tr>
                    <th scope="col">Provider</th>
                    <th scope="col">State</th>
                    <th scope="col" class="number">
                      Requests
                    </th>
                    <th scope="col" class="number">
                      Errors
                    </th>
                    <th scope="col">
                      <span class="unseen">What to do</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {data.providers.map((provider) => (
                    <Row key={provider.provider} of={provider} may={may && Boolean(projectId)} onTest={setTested} />
                  ))}
                </tbody>
              </table>
            </Scroll>
          )
        }
      </Await>
      {tested && <TestCall projectId={projectId ?? ""} provider={tested} onClose={() => setTested(null)} />}
    </Card>
  );
}

function Row({ of, may, onTest }: { of: Health; may: boolean; onTest: (provider: string) => void }) {
  const spared = of.targets.filter((target) => target.state !== "closed");
  return (
    <tr>
      <td>
        {of.provider}
        <span class="sub">{SOURCES[of.source]}</span>
      </td>
      <td>
        <Badge tone={TONES[of.breaker]}>{STATES[of.breaker]}</Badge>
        {spared.length > 0 && <span class="sub">{spared.map((target) => target.model).join(", ")}</span>}
        {of.last_error && (
          <span class="sub" title={`${showMoment(of.last_error.at)} · ${of.last_error.model} · ${of.last_error.code}`}>
            Last error: {of.last_error.message} <Ago at={of.last_error.at} />
          </span>
        )}
      </td>
      <td class="number">
        <Count of={of.requests} />
      </td>
      <td class={`number ${of.errors > 0 ? "bad" : ""}`}>{of.error_rate === null ? "–" : showShare(of.error_rate)}</td>
      <td class="number">
        {may && (
          <Button kind="quiet" onClick={() => onTest(of.provider)}>
            Test call
          </Button>
        )}
      </td>
    </tr>
  );
}
