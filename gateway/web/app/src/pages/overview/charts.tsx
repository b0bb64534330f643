import { useMemo } from "preact/hooks";
import { showShare, showShortSpan, showSpan, showWhole } from "../../core/format";
import { momentTeller, setSpan } from "../../core/period";
import { Card } from "../../ui/card";
import { Chart, Legend } from "../../ui/chart";
import type { Series } from "../../ui/chart_options";
import { type Bar, type Bucket, condense, widthOf } from "./condense";
import type { OverviewView } from "./shared";

/** What a chart draws of each bucket or bar. */
interface Drawn<T> {
  at: readonly number[];
  of: readonly T[];
  showAt: (at: number) => string;
}
type Line<T> = readonly [name: string, colour: string, kind: Series["kind"], read: (of: T) => number | null];

const HEIGHT = 170;
const COMPACT = new Intl.NumberFormat("en", { notation: "compact" });
const showPercent = (value: number): string => `${Math.round(value * 1_000) / 10}%`;
const orNone = (show: (value: number) => string) => (value: number | null) => (value === null ? "–" : show(value));

const REQUESTS: readonly Line<Bar>[] = [
  ["Good", "spent", "bar", (bar) => bar.requests - bar.errors],
  ["Errors", "bad", "bar", (bar) => bar.errors],
];
const HITS: readonly Line<Bar>[] = [
  ["Exact", "saved", "bar", (bar) => (bar.requests > 0 ? bar.hits_exact / bar.requests : null)],
  ["Same meaning", "third", "bar", (bar) => (bar.requests > 0 ? bar.hits_semantic / bar.requests : null)],
];
const LATENCY: readonly Line<Bucket>[] = [
  ["p50", "spent", "line", (bucket) => bucket.latency_p50_ms],
  ["p95", "third", "line", (bucket) => bucket.latency_p95_ms],
];

const atOf = (each: readonly { at: string }[]): number[] => each.map(({ at }) => Date.parse(at) / 1_000);

/** Requests, hits and times in small. */
export function Charts({ overview }: { overview: OverviewView }) {
  const [bars, buckets] = useMemo((): [Drawn<Bar>, Drawn<Bucket>] => {
    const width = widthOf(overview.series.length);
    const condensed = condense(overview.series, width);
    return [
      { at: atOf(condensed), of: condensed, showAt: momentTeller(overview.bucket_s, width) },
      { at: atOf(overview.series), of: overview.series, showAt: momentTeller(overview.bucket_s) },
    ];
  }, [overview]);
  const zoom = (from: number, to: number) => setSpan(from, Math.max(to, from + overview.bucket_s));
  const compact = (value: number) => COMPACT.format(value);
  return (
    <div class="thirds">
      <Small title="Requests" drawn={bars} lines={REQUESTS} show={orNone(showWhole)} showAxis={compact} onZoom={zoom} />
      <Small title="Cache hits" drawn={bars} lines={HITS} show={showShare} showAxis={showPercent} onZoom={zoom} />
      <Small title="Latency" drawn={buckets} lines={LATENCY} show={showSpan} showAxis={showShortSpan} onZoom={zoom} />
    </div>
  );
}

interface SmallProps<T> {
  title: string;
  drawn: Drawn<T>;
  lines: readonly Line<T>[];
  show: (value: number | null) => string;
  showAxis: (value: number) => string;
  onZoom: (from: number, to: number) => void;
}

function Small<T>({ title, drawn, lines, show, showAxis, onZoom }: SmallProps<T>) {
  const series = useMemo(
    () =>
      lines.map(([name, colour, kind, read]): Series => {
        const values = drawn.of.map(read);
        return { name, colour, kind, values, shown: (index) => show(values[index] ?? null) };
      }),
    [drawn],
  );
  return (
    <Card title={title} aside={<Legend series={series} />}>
      <Chart
        label={title}
        at={drawn.at as number[]}
        series={series}
        height={HEIGHT}
        isStacked={series.every((each) => each.kind === "bar")}
        showAt={drawn.showAt}
        showAxis={showAxis}
        onZoom={onZoom}
      />
    </Card>
  );
}
