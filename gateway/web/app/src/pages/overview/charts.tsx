import { useMemo } from "preact/hooks";
import { showShare, showSpan, showWhole } from "../../core/format";
import { momentTeller, setSpan } from "../../core/period";
import { Card } from "../../ui/card";
import { Chart, Legend, type Series } from "../../ui/chart";
import type { OverviewView } from "./overview";

type Bucket = OverviewView["series"][number];
type Line = readonly [name: string, colour: string, kind: Series["kind"], read: (bucket: Bucket) => number | null];

const HEIGHT = 170;
const COMPACT = new Intl.NumberFormat("en", { notation: "compact" });
const showPercent = (value: number): string => `${Math.round(value * 1_000) / 10}%`;
const orNone = (show: (value: number) => string) => (value: number | null) => (value === null ? "–" : show(value));

const REQUESTS: readonly Line[] = [
  ["Good", "spent", "bar", (bucket) => bucket.requests - bucket.errors],
  ["Errors", "bad", "bar", (bucket) => bucket.errors],
];
const HITS: readonly Line[] = [
  ["Exact", "saved", "bar", (bucket) => bucket.hit_rate_exact],
  ["Same meaning", "third", "bar", (bucket) => bucket.hit_rate_semantic],
];
const LATENCY: readonly Line[] = [
  ["p50", "spent", "line", (bucket) => bucket.latency_p50_ms],
  ["p95", "third", "line", (bucket) => bucket.latency_p95_ms],
];

/** Requests, hits and times in small. */
export function Charts({ overview }: { overview: OverviewView }) {
  return (
    <div class="thirds">
      <Small
        title="Requests"
        overview={overview}
        lines={REQUESTS}
        show={orNone(showWhole)}
        showAxis={(value) => COMPACT.format(value)}
        isStacked
      />
      <Small
        title="Cache hits"
        overview={overview}
        lines={HITS}
        show={orNone(showShare)}
        showAxis={showPercent}
        isStacked
      />
      <Small title="Latency" overview={overview} lines={LATENCY} show={orNone(showSpan)} showAxis={showSpan} />
    </div>
  );
}

interface SmallProps {
  title: string;
  overview: OverviewView;
  lines: readonly Line[];
  show: (value: number | null) => string;
  showAxis: (value: number) => string;
  isStacked?: boolean;
}

function Small({ title, overview, lines, show, showAxis, isStacked }: SmallProps) {
  const showAt = useMemo(() => momentTeller(overview.bucket_s), [overview.bucket_s]);
  const [at, series] = useMemo((): [number[], Series[]] => {
    const drawn = lines.map(([name, colour, kind, read]) => {
      const values = overview.series.map(read);
      return { name, colour, kind, values, shown: (index: number) => show(values[index] ?? null) };
    });
    return [overview.series.map((bucket) => Date.parse(bucket.at) / 1_000), drawn];
  }, [overview]);
  return (
    <Card title={title} aside={<Legend series={series} />}>
      <Chart
        label={title}
        at={at}
        series={series}
        height={HEIGHT}
        showAt={showAt}
        showAxis={showAxis}
        {...(isStacked ? { isStacked } : {})}
        onZoom={(from, to) => setSpan(from, Math.max(to, from + overview.bucket_s))}
      />
    </Card>
  );
}
