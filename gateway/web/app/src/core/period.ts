/** The period of a page: one of the usual lengths up to now, or a span that was drawn on a chart. It stands in the address. */

import type { Query } from "./api";
import { setQuery, usePlace } from "./router";

export const RANGES = [
  ["1h", "1 h"],
  ["6h", "6 h"],
  ["24h", "24 h"],
  ["7d", "7 d"],
  ["30d", "30 d"],
  ["90d", "90 d"],
  ["1y", "1 y"],
] as const;
export type Range = (typeof RANGES)[number][0];

export interface Period {
  range: Range | "own";
  query: Query;
  /** Names the period in keys of what was loaded. */
  key: string;
}

export function usePeriod(usual: Range): Period {
  const { query } = usePlace();
  const [from, to, asked] = [query.get("from"), query.get("to"), query.get("range")];
  if (from && to) return { range: "own", query: { from, to }, key: `${from} ${to}` };
  const range = RANGES.find(([name]) => name === asked)?.[0] ?? usual;
  return { range, query: { range }, key: range };
}

export function setRange(range: Range): void {
  setQuery({ range, from: null, to: null }, { replace: false });
}

/** Zoom to a span in seconds; going back in the browser zooms out. */
export function setSpan(fromS: number, toS: number): void {
  const text = (seconds: number) => new Date(Math.round(seconds) * 1_000).toISOString().replace(".000Z", "Z");
  setQuery({ from: text(fromS), to: text(toS), range: null }, { replace: false });
}

/** How the moments of a chart are told, by how far they are apart. */
export function momentTeller(bucketS: number, buckets = 1): (seconds: number) => string {
  const isDays = bucketS >= 86_400;
  const format = new Intl.DateTimeFormat(undefined, {
    weekday: isDays ? "short" : undefined,
    month: "short",
    day: "numeric",
    ...(isDays ? { timeZone: "UTC" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
  });
  if (buckets > 1) return (seconds) => format.formatRange(seconds * 1_000, (seconds + (buckets - 1) * bucketS) * 1_000);
  return (seconds) => format.format(seconds * 1_000);
}
