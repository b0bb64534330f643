import { useState } from "preact/hooks";
import { addressOf } from "../../core/api";
import { plural, showMoment } from "../../core/format";
import { usePeriod } from "../../core/period";
import { setQuery, usePlace } from "../../core/router";
import { PageHead } from "../../frame";
import { Button } from "../../ui/button";
import { Card } from "../../ui/card";
import { Icon } from "../../ui/icon";
import { RangeChoice } from "../../ui/range";
import { Bones, Empty } from "../../ui/states";
import { ProjectChoice } from "../projects/choice";
import { CallDialog } from "./call";
import { FilterBar } from "./filter_bar";
import { useFilters } from "./filters";
import { type Tail, useTail } from "./live";
import { type Log, useLog } from "./log";
import { LogTable } from "./log_table";

const TAILS: Record<Tail, string> = { off: "Live", connecting: "Connecting", live: "Live", ended: "Ended" };

/** Every call, the newest first: filters, a live tail, and each in full detail. */
export function Requests() {
  const period = usePeriod("24h");
  const filters = useFilters();
  const [isLive, setLive] = useState(false);
  const key = `${period.key} ${filters.key}`;
  const query = { ...filters.query, ...period.query };
  const log = useLog(key, query);
  const tail = useTail(isLive, filters.key, filters.query, { onCall: log.put, onGap: log.reload });
  const chosen = usePlace().query.get("request");
  return (
    <>
      <PageHead
        title="Requests"
        aside={
          <>
            <ProjectChoice value={filters.projectId} withAll />
            <RangeChoice period={period} />
          </>
        }
      />
      <Card isFlush>
        <div class="log-head">
          <FilterBar count={filters.count} />
          <div class="row">
            <button
              type="button"
              class={`button ${tail === "live" ? "on" : ""}`}
              aria-pressed={isLive}
              onClick={() => setLive(!isLive)}
            >
              {tail === "live" ? <span class="dot pulse good" /> : <Icon name="live" />}
              {TAILS[tail]}
            </button>
            <a class="button" href={addressOf("GET /api/requests/export", {}, query)} download="requests.csv">
              <Icon name="download" />
              CSV
            </a>
          </div>
        </div>
        <Body log={log} />
      </Card>
      {chosen && <CallDialog id={chosen} onClose={() => setQuery({ request: null })} />}
    </>
  );
}

function Body({ log }: { log: Log }) {
  if (log.error && log.rows.length === 0)
    return (
      <Empty
        icon={log.error.isOffline ? "offline" : "warning"}
        title={log.error.isOffline ? "The gateway does not answer" : "That did not work"}
      >
        <p role="alert">{log.error.message}</p>
        <Button onClick={log.reload}>Try again</Button>
      </Empty>
    );
  if (log.rows.length === 0 && log.isLoading) return <Bones lines={10} />;
  if (log.rows.length === 0 && log.isComplete)
    return (
      <Empty icon="search" title="No call fits">
        <p>Choose a longer period or fewer filters.</p>
      </Empty>
    );
  return (
    <>
      <LogTable log={log} />
      <p class="log-foot small faint" role="status">
        {plural(log.rows.length, "request")} {log.isComplete ? "in all" : "so far; scroll for more"}
        {!log.isComplete && log.scannedTo && `, searched back to ${showMoment(log.scannedTo)}`}
      </p>
    </>
  );
}
