import { useEffect, useRef, useState } from "preact/hooks";
import { showClock, showDay, showMoment, showSpan, showWhole } from "../../core/format";
import { setQuery } from "../../core/router";
import { Amount } from "../../ui/figures";
import { Badge } from "../../ui/states";
import type { Log, LoggedCall } from "./log";

const ROW_PX = 44;
const SPARE_ROWS = 8;
const NEAR_END_ROWS = 30;

/** Only the rows in view are in the page, however long the log is. */
export function LogTable({ log }: { log: Log }) {
  const box = useRef<HTMLDivElement>(null);
  const [[first, last], setSeen] = useState([0, 40]);
  const count = log.rows.length;
  const look = () => {
    const { scrollTop, clientHeight } = box.current!;
    const top = Math.max(Math.floor(scrollTop / ROW_PX) - SPARE_ROWS, 0);
    const bottom = Math.min(Math.ceil((scrollTop + clientHeight) / ROW_PX) + SPARE_ROWS, count);
    setSeen([top, bottom]);
    if (bottom >= count - NEAR_END_ROWS) log.more();
  };
  useEffect(look, [count]);
  const shown = log.rows.slice(first, Math.max(last, first + 1));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <div class="table log" ref={box} onScroll={look} tabIndex={0} role="region" aria-label="Requests">
      <table aria-rowcount={log.isComplete ? count + 1 : -1}>
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Model</th>
            <th scope="col">Outcome</th>
            <th scope="col" class="number wide-only">
              Tokens
            </th>
            <th scope="col" class="number wide-only">
              Latency
            </th>
            <th scope="col" class="number">
              Cost
            </th>
          </tr>
        </thead>
        <tbody>
          <Gap rows={first} />
          {shown.map((row, index) => (
            <Row key={row.id} of={row} index={first + index + 2} />
          ))}
          <Gap rows={Math.max(count - first - shown.length, 0)} />
        </tbody>
      </table>
    </div>
  );
}

function Gap({ rows }: { rows: number }) {
  if (rows === 0) return null;
  return (
    <tr>
      <td colSpan={4} style={{ height: `${rows * ROW_PX}px`, padding: "0", border: "0" }} />
    </tr>
  );
}

const isToday = (text: string): boolean => new Date(text).toDateString() === new Date().toDateString();

function Row({ of, index }: { of: LoggedCall; index: number }) {
  return (
    <tr aria-rowindex={index} onClick={() => setQuery({ request: of.id }, { replace: false })}>
      <td class="soft">
        <time datetime={of.created_at} title={showMoment(of.created_at)}>
          {showClock(of.created_at)}
          {!isToday(of.created_at) && <span class="wide-only faint"> {showDay(of.created_at)}</span>}
        </time>
      </td>
      <td class="cut">
        <button type="button" class="link cut">
          {of.model}
        </button>
        {of.provider !== "" && <span class="faint wide-only"> {of.provider}</span>}
      </td>
      <td>
        <Outcome of={of} />
      </td>
      <td class="number wide-only">
        {of.cached ? <span class="good">{showWhole(of.tokens_saved)} saved</span> : showWhole(of.tokens)}
      </td>
      <td class="number wide-only soft">{showSpan(of.latency_ms)}</td>
      <td class="number">
        {of.cached ? (
          <span class="good">
            −<Amount usd={of.saved_usd} />
          </span>
        ) : (
          <Amount usd={of.cost_usd} />
        )}
      </td>
    </tr>
  );
}

export function Outcome({
  of,
}: {
  of: Pick<LoggedCall, "cached" | "cache_layer" | "status" | "http_status" | "error_code">;
}) {
  if (of.cached) return <Badge tone="good">{of.cache_layer === "semantic" ? "same meaning" : "cached"}</Badge>;
  if (of.status === "complete") return <Badge>{of.http_status}</Badge>;
  if (of.status === "cancelled") return <Badge tone="warn">client left</Badge>;
  const words = of.error_code ?? of.status.replace("_", " ");
  return (
    <Badge tone="bad" title={`${words} (${of.status})`}>
      {words}
    </Badge>
  );
}
