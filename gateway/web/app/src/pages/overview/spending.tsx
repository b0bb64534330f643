import { useMemo, useState } from "preact/hooks";
import { addMoney, showExact, showShortMoney, toNumber } from "../../core/money";
import { momentTeller, setSpan } from "../../core/period";
import { Card } from "../../ui/card";
import { Chart, Legend, type Series } from "../../ui/chart";
import { Check } from "../../ui/field";
import type { OverviewView } from "./overview";

type Bucket = OverviewView["series"][number];

/** Money over time: what was spent, and on top of it what the cache kept from being spent. */
export function Spending({ overview }: { overview: OverviewView }) {
  const [isCompared, setCompared] = useState(false);
  const [at, series] = useMemo(() => chartOf(overview, isCompared), [overview, isCompared]);
  const showAt = useMemo(() => momentTeller(overview.bucket_s), [overview.bucket_s]);
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
  const now = overview.series;
  const before = overview.previous_series;
  const of = (
    name: string,
    colour: string,
    kind: Series["kind"],
    buckets: readonly Bucket[],
    read: (bucket: Bucket) => unknown,
  ): Series => ({
    name,
    colour,
    kind,
    values: now.map((_, index) => (buckets[index] ? toNumber(read(buckets[index])) : null)),
    shown: (index) => (buckets[index] ? showExact(read(buckets[index])) : "–"),
  });
  const series = [
    of("Spent", "spent", "bar", now, (bucket) => bucket.cost_usd),
    of("Saved", "saved", "bar", now, (bucket) => addMoney(bucket.saved_exact_usd, bucket.saved_semantic_usd)),
  ];
  if (isCompared) series.push(of("Spent before", "before", "dashed", before, (bucket) => bucket.cost_usd));
  return [now.map((bucket) => Date.parse(bucket.at) / 1_000), series];
}
