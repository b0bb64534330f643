import type { ComponentChildren } from "preact";
import { showAgo, showChange, showCount, showMoment, showWhole } from "../core/format";
import { showExact, showMoney } from "../core/money";
import { Icon } from "./icon";

/** An amount, and every digit of it on hover. */
export function Amount({ usd }: { usd: unknown }) {
  const exact = showExact(usd);
  return (
    <data value={exact} title={exact}>
      {showMoney(usd)}
    </data>
  );
}

export function Count({ of }: { of: number }) {
  return (
    <data value={String(of)} title={showWhole(of)}>
      {showCount(of)}
    </data>
  );
}

/** A moment: how long ago, and when exactly in the person's own zone on hover. */
export function Ago({ at, never = "never" }: { at: string | null | undefined; never?: string }) {
  if (!at) return <span class="faint">{never}</span>;
  return (
    <time datetime={at} title={showMoment(at)}>
      {showAgo(at)}
    </time>
  );
}

/** One figure with its name, and how it was before. */
export function Stat({
  name,
  children,
  note,
  dot,
}: {
  name: string;
  children: ComponentChildren;
  note?: ComponentChildren;
  dot?: string;
}) {
  return (
    <dl class="stat">
      <dt>
        {dot && <i class={`dot ${dot}`} />}
        {name}
      </dt>
      <dd>
        {children}
        {note && <div class="note">{note}</div>}
      </dd>
    </dl>
  );
}

/** How a figure moved; whether more is good is told by its maker. */
export function Change({ by, isGood }: { by: number | null; isGood?: boolean | undefined }) {
  if (by === null || !Number.isFinite(by)) return <span>no figure before</span>;
  const tone = isGood === undefined || Math.abs(by) < 0.005 ? "" : isGood ? "good" : "bad";
  return (
    <span class={`row ${tone}`} style={{ gap: "0.15rem", display: "inline-flex" }}>
      <Icon name={by >= 0 ? "up" : "down"} />
      {showChange(by)}
      <span class="unseen">{by >= 0 ? "more" : "less"}</span>
    </span>
  );
}

/** How much of the whole. */
export function Share({ part }: { part: number }) {
  return (
    <span class="share" aria-hidden="true">
      <i style={{ width: `${Math.min(Math.max(part, 0), 1) * 100}%` }} />
    </span>
  );
}
