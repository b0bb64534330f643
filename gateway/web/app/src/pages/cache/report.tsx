import { useMemo, useState } from "preact/hooks";
import { call } from "../../core/api";
import { plural, showShare, showWhole } from "../../core/format";
import { type Loaded, useDeed } from "../../core/loading";
import { Button } from "../../ui/button";
import { Card } from "../../ui/card";
import { Chart, Legend } from "../../ui/chart";
import type { Series } from "../../ui/chart_options";
import { Amount, Stat } from "../../ui/figures";
import { Segmented } from "../../ui/segmented";
import { Await, Badge, Empty, Notice } from "../../ui/states";
import { type BoundName, nearest, type Point, pointsOf, type ReportView } from "./curve";
import type { Policy } from "./policy_form";

const KINDS: readonly (readonly [BoundName, string])[] = [
  ["max_wrong_hit_rate", "Wrong of the hits"],
  ["max_wrong_rate", "Wrong of all requests"],
];
const PERCENT = 100;

interface ReportProps {
  report: Loaded<ReportView>;
  policy: Policy;
  projectId: string;
  may: boolean;
  onChanged: () => void;
}

/** Hits against errors as a curve that one can read, a slider along it, and what each place on it means. */
export function Report({ report, policy, projectId, may, onChanged }: ReportProps) {
  const [kind, setKind] = useState<BoundName>(
    policy.max_wrong_hit_rate === null && policy.max_wrong_rate !== null ? "max_wrong_rate" : "max_wrong_hit_rate",
  );
  return (
    <Card
      title="What a bound on errors gives"
      note="Of answers that mean the same: how many could be served, and how many of those would be wrong."
      aside={<Segmented label="The bound is on" value={kind} options={KINDS} onChange={setKind} />}
    >
      <Await of={report}>
        {(data) => {
          const points = pointsOf(data.curve, kind);
          if (data.requests === 0 || points.length === 0) return <NoReport mode={policy.mode} />;
          return (
            <div class="stack wide">
              {data.young && (
                <Notice tone="accent">
                  {plural(data.requests, "request")} seen. From 200 on a bound can be proven; until then nothing that
                  only means the same is served.
                </Notice>
              )}
              <Choice
                key={kind}
                points={points}
                kind={kind}
                policy={policy}
                projectId={projectId}
                may={may}
                onChanged={onChanged}
                report={data}
              />
              <Live report={data} policy={policy} />
            </div>
          );
        }}
      </Await>
    </Card>
  );
}

function NoReport({ mode }: { mode: string }) {
  return (
    <Empty icon="cache" title="Nothing seen yet">
      <p>
        {mode === "off" || mode === "exact"
          ? "Choose the mode shadow: calls are answered as before, and this curve fills from your own traffic."
          : "The curve fills as calls come in."}
      </p>
    </Empty>
  );
}

interface ChoiceProps extends Omit<ReportProps, "report"> {
  points: Point[];
  kind: BoundName;
  report: ReportView;
}

function Choice({ points, kind, policy, projectId, may, onChanged, report }: ChoiceProps) {
  const [index, setIndex] = useState(() => nearest(points, kind, policy[kind]));
  const point = points[index]!;
  const bound = point[kind]!;
  const [at, series] = useMemo(() => curveOf(points, kind), [report, kind]);
  const deed = useDeed(async () => {
    await call("PATCH /api/projects/{project_id}/cache", {
      path: { project_id: projectId },
      body: { mode: "semantic", [kind]: bound },
    });
    onChanged();
  });
  const isInForce = policy.mode === "semantic" && policy[kind] === bound;
  return (
    <>
      <div class="stack tight">
        <Legend series={series} />
        <Chart
          label="Hit rate and error rate by bound"
          at={at}
          series={series}
          isPlain
          height={240}
          mark={bound * PERCENT}
          showAt={(value) => `${round(value)}%`}
          showAxis={(value) => `${round(value)}%`}
        />
        <label class="small soft" for="bound">
          Your bound: at most <strong>{showShare(bound)}</strong> wrong{" "}
          {kind === "max_wrong_rate" ? "of all requests" : "of what is served"}
        </label>
        <input
          id="bound"
          type="range"
          min={0}
          max={points.length - 1}
          step={1}
          value={index}
          aria-valuetext={`at most ${showShare(bound)} wrong`}
          onInput={(event) => setIndex(Number(event.currentTarget.value))}
        />
      </div>
      <div class="figures">
        <Stat name="Served again" dot="saved" note={`of the last ${showWhole(report.window)} requests`}>
          {showShare(point.hit_rate)}
        </Stat>
        <Stat
          name="Of them wrong"
          dot="failed"
          note={`between ${showShare(point.wrong_rate_low)} and ${showShare(point.wrong_rate_high)}`}
        >
          {showShare(point.wrong_rate)}
        </Stat>
        <Stat name="Saved" note="in that window">
          <Amount usd={point.saved_usd} />
        </Stat>
        <div class="stack tight">
          <Button
            kind="main"
            isLarge
            isBusy={deed.isBusy}
            disabled={!may || isInForce || point.threshold === null}
            onClick={() => void deed.run()}
          >
            {isInForce ? "In force" : policy.mode === "semantic" ? "Change the bound" : "Turn on at this bound"}
          </Button>
          {point.threshold === null && <p class="small faint">Nothing can be served within it yet.</p>}
          {deed.error && <Notice tone="bad">{deed.error.message}</Notice>}
        </div>
      </div>
    </>
  );
}

function Live({ report, policy }: { report: ReportView; policy: Policy }) {
  const { live } = report;
  if (policy.mode !== "semantic") return null;
  const isByHits = live.max_wrong_hit_rate !== null;
  const bound = live.max_wrong_hit_rate ?? live.max_wrong_rate ?? 0;
  const [rate, low, high] = isByHits
    ? [live.wrong_hit_rate, live.wrong_hit_rate_low, live.wrong_hit_rate_high]
    : [live.wrong_rate, live.wrong_rate_low, live.wrong_rate_high];
  const isKept = rate <= bound;
  return (
    <Notice tone={live.serving ? (isKept ? "good" : "bad") : "accent"}>
      <span class="row">
        <strong>{live.serving ? "Serving" : "Learning"}</strong>
        {live.serving ? (
          <span>
            {plural(live.hits, "answer")} served again; wrong {showShare(rate)} (between {showShare(low)} and{" "}
            {showShare(high)}) against your bound of {showShare(bound)}.
          </span>
        ) : (
          <span>Nothing that only means the same is served until the bound of {showShare(bound)} can be proven.</span>
        )}
        {live.serving && <Badge tone={isKept ? "good" : "bad"}>{isKept ? "bound kept" : "above the bound"}</Badge>}
      </span>
    </Notice>
  );
}

const round = (value: number): number => Number(value.toPrecision(3));

function curveOf(points: Point[], kind: BoundName): [number[], Series[]] {
  const line = (name: string, colour: string, drawn: Series["kind"], read: (point: Point) => number): Series => ({
    name,
    colour,
    kind: drawn,
    values: points.map((point) => read(point) * PERCENT),
    shown: (index) => showShare(read(points[index]!)),
  });
  return [
    points.map((point) => point[kind]! * PERCENT),
    [
      line("Served again", "saved", "area", (point) => point.hit_rate),
      line("Wrong", "bad", "line", (point) => point.wrong_rate),
      line("Wrong at most", "bad", "dashed", (point) => point.wrong_rate_high),
    ],
  ];
}
