import { useMemo } from "preact/hooks";
import { call } from "../../core/api";
import { showBetween, showShare, showWhole } from "../../core/format";
import { useDeed, useDraft } from "../../core/loading";
import { Button } from "../../ui/button";
import { Chart, Legend } from "../../ui/chart";
import type { Series } from "../../ui/chart_options";
import { Amount, Stat } from "../../ui/figures";
import { Notice } from "../../ui/states";
import { type BoundName, isServing, nearest, OF, type Point, type ReportView, type Stop, stopsOf } from "./curve";
import type { Policy } from "./policy_form";

const PERCENT = 100;
const OTHER: Record<BoundName, BoundName> = {
  max_wrong_hit_rate: "max_wrong_rate",
  max_wrong_rate: "max_wrong_hit_rate",
};

interface ChoiceProps {
  points: Point[];
  kind: BoundName;
  report: ReportView;
  policy: Policy;
  projectId: string;
  may: boolean;
  onChanged: () => void;
}

/** The curve, the slider along it, and what the place where it stands means. */
export function Choice(props: ChoiceProps) {
  const { points, kind, policy, report } = props;
  const stops = stopsOf(points, kind, policy[kind]);
  const [wanted, setWanted] = useDraft(policy[kind] ?? stops[0]!.bound);
  const stop = nearest(stops, wanted);
  const { bound, point } = stop;
  const [at, series] = useMemo(() => curveOf(points, kind), [report, kind]);
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
          Your bound: at most <strong>{showShare(bound)}</strong> wrong {OF[kind]}
        </label>
        <input
          id="bound"
          type="range"
          min={0}
          max={stops.length - 1}
          step={1}
          value={stops.indexOf(stop)}
          aria-valuetext={`at most ${showShare(bound)} wrong`}
          onInput={(event) => setWanted(stops[Number(event.currentTarget.value)]!.bound)}
        />
        {point[kind] !== bound && (
          <p class="small faint">
            The curve has no point at {showShare(bound)}: the figures are those of the nearest,{" "}
            {showShare(point[kind]!)}.
          </p>
        )}
      </div>
      <div class="figures">
        <Figures of={point} kind={kind} window={report.window} />
        <Apply stop={stop} {...props} />
      </div>
    </>
  );
}

function Figures({ of, kind, window }: { of: Point; kind: BoundName; window: number }) {
  const note = isServing(of) ? showBetween(of.wrong_rate_low, of.wrong_rate_high) : "nothing is served";
  return (
    <>
      <Stat name="Served again" dot="saved" note={`of the last ${showWhole(window)} requests`}>
        {showShare(of.hit_rate)}
      </Stat>
      <Stat name={kind === "max_wrong_rate" ? "Wrong of all requests" : "Of them wrong"} dot="failed" note={note}>
        {showShare(isServing(of) ? of.wrong_rate : null)}
      </Stat>
      <Stat name="Saved" note="in that window">
        <Amount usd={of.saved_usd} />
      </Stat>
    </>
  );
}

/** Makes the slider's place the one bound of the project: with a second of the other kind both would have to be kept. */
function Apply({ stop, kind, policy, projectId, may, onChanged }: ChoiceProps & { stop: Stop }) {
  const { bound, point } = stop;
  const deed = useDeed(async () => {
    await call("PATCH /api/projects/{project_id}/cache", {
      path: { project_id: projectId },
      body: { mode: "semantic", [kind]: bound, [OTHER[kind]]: null },
    });
    onChanged();
  });
  const isInForce = policy.mode === "semantic" && policy[kind] === bound && policy[OTHER[kind]] === null;
  const isIdle = point[kind] === bound && !isServing(point);
  return (
    <div class="stack tight">
      <Button
        kind="main"
        isLarge
        isBusy={deed.isBusy}
        disabled={!may || isInForce || isIdle}
        onClick={() => void deed.run()}
      >
        {isInForce ? "In force" : policy.mode === "semantic" ? "Change the bound" : "Turn on at this bound"}
      </Button>
      {isIdle && <p class="small faint">Nothing can be served within it yet.</p>}
      {deed.error && <Notice tone="bad">{deed.error.message}</Notice>}
    </div>
  );
}

const round = (value: number): number => Number(value.toPrecision(3));
const percentOf = (share: number | null): number | null => (share === null ? null : share * PERCENT);

function curveOf(points: Point[], kind: BoundName): [number[], Series[]] {
  const line = (
    name: string,
    colour: string,
    drawn: Series["kind"],
    read: (point: Point) => number | null,
  ): Series => ({
    name,
    colour,
    kind: drawn,
    values: points.map((point) => percentOf(read(point))),
    shown: (index) => {
      const value = read(points[index]!);
      return value === null ? "nothing is served" : showShare(value);
    },
  });
  const ifServing = (read: (point: Point) => number) => (point: Point) => (isServing(point) ? read(point) : null);
  return [
    points.map((point) => point[kind]! * PERCENT),
    [
      line("Served again", "saved", "area", (point) => point.hit_rate),
      line(
        "Wrong",
        "bad",
        "line",
        ifServing((point) => point.wrong_rate),
      ),
      line(
        "Wrong at most",
        "bad",
        "dashed",
        ifServing((point) => point.wrong_rate_high),
      ),
    ],
  ];
}
