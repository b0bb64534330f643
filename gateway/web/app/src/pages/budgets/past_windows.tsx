import { useEffect, useState } from "preact/hooks";
import { type Answer, call } from "../../core/api";
import { plural, showDay, showShortMoment } from "../../core/format";
import { useLoaded } from "../../core/loading";
import { showMoney, toNumber } from "../../core/money";
import { Amount } from "../../ui/figures";
import { Notice } from "../../ui/states";
import type { Budget } from "./shared";

type Trial = Answer<"GET /api/budgets/simulation">;
const PAUSE_MS = 300;
const NAMES: Record<Budget["window"], string> = {
  hour: "hour",
  day: "day",
  week: "week",
  month: "month",
  total: "window",
};

interface Wish {
  scope: Budget["scope"];
  scopeId: string | null;
  /** Of a tag: that of the projects that have no account. */
  installation: boolean;
  window: Budget["window"];
  /** What was typed: no amount yet, perhaps. */
  limit: string;
}

/** What such a limit would have done so far. */
export function PastWindows({ scope, scopeId, installation, window: span, limit }: Wish) {
  const amount = /^\d+(\.\d{1,12})?$/.test(limit.trim()) ? limit.trim() : "";
  const asked = scopeId === "" ? null : JSON.stringify([scope, scopeId, String(installation), span, amount]);
  const [settled, settle] = useState(asked);
  useEffect(() => {
    const timer = setTimeout(() => settle(asked), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [asked]);
  const found = useLoaded(settled && `trial ${settled}`, (signal) => {
    const [scope, scope_id, installation, window, limit_usd] = JSON.parse(settled ?? "[]") as string[];
    return call("GET /api/budgets/simulation", { query: { scope, scope_id, installation, window, limit_usd }, signal });
  });
  if (settled === null) return null;
  if (found.error) return <Notice tone="warn">{found.error.message}</Notice>;
  return (
    <div class="past" aria-live="polite" aria-busy={found.isLoading}>
      {found.data ? <Told of={found.data} /> : <p class="small faint">Looking at what was spent…</p>}
    </div>
  );
}

function Told({ of }: { of: Trial }) {
  const name = NAMES[of.window];
  const teller = of.window === "hour" ? showShortMoment : showDay;
  return (
    <>
      {of.past.length > 1 && <Bars of={of} teller={teller} />}
      {of.window === "total" ? null : of.past.length === 0 ? (
        <p class="small soft">Nothing was spent here before this {name}.</p>
      ) : (
        <p class="small soft">
          {of.reached !== null && (
            <strong class={of.reached > 0 ? "warn" : ""}>{reachedOf(of.reached, of.past.length, name)} </strong>
          )}
          A typical {name} cost <Amount usd={of.typical_usd} />, the dearest <Amount usd={of.highest_usd} />.
        </p>
      )}
      <p class="small soft">
        <Amount usd={of.spent_usd} />{" "}
        {of.window === "total"
          ? "was spent in all."
          : of.window === "day"
            ? "so far today."
            : `so far in this ${name}.`}
        {of.reached_now && " That is the limit already."}
        {of.reaches_at && ` At this pace the limit is reached ${whenOf(of, teller)}.`}
      </p>
    </>
  );
}

function reachedOf(reached: number, count: number, name: string): string {
  if (count === 1) return `The one ${name} before ${reached ? "would" : "would not"} have reached it.`;
  return `${reached || "None"} of the last ${plural(count, name)} would have reached it.`;
}

function whenOf(of: Trial, teller: (text: string) => string): string {
  const at = of.reaches_at ?? "";
  if (of.window === "day" || of.window === "hour") return `at ${showShortMoment(at)}`;
  return showDay(at) === showDay(new Date().toISOString()) ? "today" : `on ${teller(at)}`;
}

/** The windows as bars, the oldest first, and the limit across them. */
function Bars({ of, teller }: { of: Trial; teller: (text: string) => string }) {
  const spent = of.past.map((each) => toNumber(each.spent_usd));
  const limit = of.limit_usd === null ? 0 : toNumber(of.limit_usd);
  const most = Math.max(...spent, 1e-12);
  // A limit far above would make every bar vanish.
  const top = limit > 0 && limit <= most * 3 ? Math.max(most, limit) : most;
  return (
    <div class="bars" aria-hidden="true">
      {of.past.map((each, number) => (
        <i
          key={each.from}
          class={of.limit_usd !== null && spent[number]! >= limit ? "over" : ""}
          title={`${teller(each.from)}: ${showMoney(each.spent_usd)}`}
          style={{ height: `${Math.max((spent[number]! / top) * 100, 2)}%` }}
        />
      ))}
      {of.limit_usd !== null && limit > 0 && limit <= top && <b style={{ bottom: `${(limit / top) * 100}%` }} />}
    </div>
  );
}
