/** Numbers, shares, times and spans as people read them, in their own zone. */

const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const SHORT = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});
const AGO = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const STEPS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];
const COMPACT_FROM = 100_000;

export const showWhole = (value: number): string => WHOLE.format(value);
export const showCount = (value: number): string =>
  value >= COMPACT_FROM ? COMPACT.format(value) : WHOLE.format(value);
export const showMoment = (text: string): string => MOMENT.format(new Date(text));
export const showDay = (text: string): string => DAY.format(new Date(text));
export const showClock = (text: string): string => CLOCK.format(new Date(text));
export const showShortMoment = (text: string): string => SHORT.format(new Date(text));

/** A share of one; what is not nothing is not shown as 0 %, what is not all not as 100 %. */
export function showShare(value: number | null): string {
  if (value === null) return "–";
  const percent = value * 100;
  if (percent > 0 && percent < 0.1) return "<0.1%";
  if (percent > 99.9 && percent < 100) return ">99.9%";
  return `${percent >= 10 || percent === 0 ? Math.round(percent * 10) / 10 : Math.round(percent * 100) / 100}%`;
}

/** An interval of shares; nothing where its ends are one value, as where each answer was checked. */
export function showBetween(low: number, high: number): string {
  const [from, to] = [showShare(low), showShare(high)];
  return from === to ? "" : `between ${from} and ${to}`;
}

export function showSpan(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1) return `${Math.round(ms * 100) / 100} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1_000)} s`;
}

/** As showSpan, for axes. */
export const showShortSpan = (ms: number): string => (ms >= 1_000 ? `${ms / 1_000} s` : `${ms} ms`);

export function showAgo(text: string, now: number = Date.now()): string {
  const seconds = (new Date(text).getTime() - now) / 1_000;
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length) return AGO.format(Math.round(seconds / length), unit);
  }
  return "just now";
}

/** How much more or less than before, or null where there was nothing. */
export function changeOf(now: number | null, before: number | null): number | null {
  return now === null || before === null || before === 0 ? null : now / before - 1;
}

export function showChange(change: number): string {
  const percent = Math.abs(change) * 100;
  if (percent >= 1_000) return `×${(change + 1).toFixed(0)}`;
  return `${percent >= 10 ? percent.toFixed(0) : percent.toFixed(1)}%`;
}

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${WHOLE.format(count)} ${count === 1 ? one : many}`;
