import { useMemo, useState } from "preact/hooks";
import { showExact, showShortMoney, toNumber } from "../../core/money";
import { momentTeller, setSpan } from "../../core/period";
import { Card } from "../../ui/card";
import { Chart, Legend } from "../../ui/chart";
import type { Series } from "../../ui/chart_options";
import { Check } from "../../ui/field";
import { type Bar, condense, widthOf } from "./condense";
import type { OverviewView } from "./shared";

/** Money over time: what was spent, and on top of it what the cache kept from being spent. */
export function Spending({ overview }: { overview: OverviewView }) {
  const [isCompared, setCompared] = useState(false);
  const [at, series] = useMemo(() => chartOf(overview, isCompared), [overview, isCompared]);
  const showAt = useMemo(() => momentTeller(overview.bucket_s, widthOf(overview.series.length)), [overview]);
  return (
    <Card
      title="Spent and saved"
      aside={
        <div class="row" style={{ gap: "var(--space-4)" }}>
          <Check label="Compare with before" checked={isCompared} onChange={setCompared} />
          <Legend series={series} />
        </div>
      }
    >
      <Chart
        label="Spent and saved over time"
        at={at}
        series={series}
        isStacked
        height={280}
        showAt={showAt}
        showAxis={showShortMoney}
        onZoom={(from, to) => setSpan(from, Math.max(to, from + overview.bucket_s))}
      />
    </Card>
  );
}

function chartOf(overview: OverviewView, isCompared: boolean): [number[], Series[]] {
  const width = widthOf(overview.series.length);
  const now = condense(overview.series, width);
  const before = condense(overview.previous_series, width);
  const of = (
    name: string,
    colour: string,
    kind: Series["kind"],
    bars: readonly Bar[],
    read: (bar: Bar) => unknown,
  ): Series => ({
    name,
    colour,
    kind,
    values: now.map((_, index) => (bars[index] ? toNumber(read(bars[index])) : null)),
    shown: (index) => (bars[index] ? showExact(read(bars[index])) : "–"),
  });
  const series = [
    of("Spent", "spent", "bar", now, (bar) => bar.cost_usd),
    of("Saved", "saved", "bar", now, (bar) => bar.saved_usd),
  ];
  if (isCompared) series.push(of("Spent before", "before", "dashed", before, (bar) => bar.cost_usd));
  return [now.map((bar) => Date.parse(bar.at) / 1_000), series];
}
