import type { ComponentChildren } from "preact";
import { changeOf, plural, showShare, showSpan } from "../../core/format";
import { addMoney, toNumber } from "../../core/money";
import { Amount, Change, Count, Stat } from "../../ui/figures";
import type { Figures, OverviewView } from "./shared";

const savedBy = (figures: Figures) => addMoney(figures.saved_exact_usd, figures.saved_semantic_usd);

function hitRateOf(figures: Figures): number | null {
  if (figures.hit_rate_exact === null || figures.hit_rate_semantic === null) return null;
  return figures.hit_rate_exact + figures.hit_rate_semantic;
}

/** The figures that one came for, each beside the same length of time before. */
export function Headline({ overview, children }: { overview: OverviewView; children?: ComponentChildren }) {
  const { total, previous } = overview;
  const saved = savedBy(total);
  const share = toNumber(total.without_usd) > 0 ? toNumber(saved) / toNumber(total.without_usd) : 0;
  const hits = hitRateOf(total);
  const hitsBefore = hitRateOf(previous);
  const money = (read: (figures: Figures) => unknown) => changeOf(toNumber(read(total)), toNumber(read(previous)));
  return (
    <section class="card" aria-label="In short">
      <div class="inside headline-grid">
        <Stat name="Spent" dot="spent" note={<Before by={money((each) => each.cost_usd)} isGood={(by) => by <= 0} />}>
          <Amount usd={total.cost_usd} />
        </Stat>
        <Stat name="Saved by the cache" dot="saved" note={<Before by={money(savedBy)} isGood={(by) => by >= 0} />}>
          <Amount usd={saved} />
        </Stat>
        <Stat
          name="Without WatchLLM"
          note={share > 0 ? `${showShare(share)} of it was saved` : "the same: nothing was saved"}
        >
          <Amount usd={total.without_usd} />
        </Stat>
        <Stat name="Requests" note={<Before by={changeOf(total.requests, previous.requests)} />}>
          <Count of={total.requests} />
        </Stat>
        <Stat name="From the cache" note={<Before by={changeOf(hits, hitsBefore)} isGood={(by) => by >= 0} />}>
          {showShare(hits)}
        </Stat>
        <Stat
          name="Latency, p50"
          note={`p95 ${showSpan(total.latency_p95_ms)} · overhead ${showSpan(total.overhead_p50_ms)}`}
        >
          {showSpan(total.latency_p50_ms)}
        </Stat>
        <Stat name="Errors" note={plural(total.errors, "request")}>
          {showShare(total.error_rate)}
        </Stat>
      </div>
      {children}
    </section>
  );
}

function Before({ by, isGood }: { by: number | null; isGood?: (by: number) => boolean }) {
  if (by === null) return <>nothing before</>;
  return (
    <span class="row" style={{ gap: "0.3rem" }}>
      <Change by={by} isGood={isGood?.(by)} /> vs before
    </span>
  );
}
