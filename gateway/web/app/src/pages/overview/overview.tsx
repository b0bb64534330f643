import { call } from "../../core/api";
import { useLoaded } from "../../core/loading";
import { type Period, usePeriod } from "../../core/period";
import { usePlace } from "../../core/router";
import { PageHead } from "../../frame";
import { Card } from "../../ui/card";
import { RangeChoice } from "../../ui/range";
import { Await, Empty } from "../../ui/states";
import { ProjectChoice } from "../projects/choice";
import { Charts } from "./charts";
import { Forecast } from "./forecast";
import { Headline } from "./headline";
import { Measured } from "./measured";
import { Spending } from "./spending";
import { Top } from "./top";
import { UnpricedHint } from "./unpriced_hint";

const REFRESH_MS = 15_000;

/** What was spent and saved, by whom, and where the month is going. */
export function Overview() {
  const period = usePeriod("30d");
  const projectId = usePlace().query.get("project") ?? "";
  const overview = useLoaded(
    `overview ${projectId} ${period.key}`,
    (signal) => call("GET /api/overview", { query: { ...period.query, project_id: projectId }, signal }),
    REFRESH_MS,
  );
  return (
    <>
      <PageHead
        title="Overview"
        aside={
          <>
            <ProjectChoice value={projectId} withAll />
            <RangeChoice period={period} />
          </>
        }
      />
      <Await of={overview} lines={9}>
        {(data) =>
          data.total.requests === 0 && data.previous.requests === 0 ? (
            <Nothing period={period} projectId={projectId} />
          ) : (
            <div class="stack">
              <Headline overview={data}>
                <Measured period={period} projectId={projectId} />
              </Headline>
              <UnpricedHint period={period} projectId={projectId} />
              <Spending overview={data} />
              <Charts overview={data} />
              <div class="split">
                <Top period={period} projectId={projectId} />
                <Forecast projectId={projectId} />
              </div>
            </div>
          )
        }
      </Await>
    </>
  );
}

function Nothing({ period, projectId }: { period: Period; projectId: string }) {
  return (
    <Card>
      <Empty title="No calls in this period">
        <p>
          {period.range === "1y" && !projectId
            ? "Point a client at this gateway, and what it costs shows up here within a second."
            : "Choose a longer one, or make a call: it shows up here within seconds."}
        </p>
        <a class="button main" href="/welcome">
          Make a first call
        </a>
      </Empty>
    </Card>
  );
}
