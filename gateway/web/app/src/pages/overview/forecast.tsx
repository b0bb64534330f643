import { useMemo } from "preact/hooks";
import { type Answer, call } from "../../core/api";
import { showShare } from "../../core/format";
import { useLoaded } from "../../core/loading";
import { addMoney, showExact, showMoney, showShortMoney, toNumber } from "../../core/money";
import { Card } from "../../ui/card";
import { Chart, Legend } from "../../ui/chart";
import type { Series } from "../../ui/chart_options";
import { Amount, Stat } from "../../ui/figures";
import { Await, Badge } from "../../ui/states";
import { useScopeName, WINDOWS } from "../budgets/shared";

type ForecastView = Answer<"GET /api/overview/forecast">;
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", timeZone: "UTC" });
const showDay = (seconds: number): string => DAY.format(seconds * 1_000);
const CLOSE = 0.5;

/** Where the month ends, and which budgets that would reach. */
export function Forecast({ projectId }: { projectId: string }) {
  const forecast = useLoaded(`forecast ${projectId}`, (signal) =>
    call("GET /api/overview/forecast", { query: { project_id: projectId }, signal }),
  );
  return (
    <Card title="To the end of the month">
      <Await of={forecast}>{(data) => <Month of={data} />}</Await>
    </Card>
  );
}

function Month({ of }: { of: ForecastView }) {
  const [at, series] = useMemo(() => chartOf(of), [of]);
  // Without a day of history, and at the month's very end, it is one value.
  const isSpread = showMoney(of.low_usd) !== showMoney(of.high_usd);
  return (
    <div class="stack">
      <div class="figures">
        <Stat name="Spent so far" dot="spent">
          <Amount usd={of.spent_usd} />
        </Stat>
        <Stat
          name="Expected"
          note={
            isSpread && (
              <>
                <Amount usd={of.low_usd} /> to <Amount usd={of.high_usd} />, {showShare(of.level)} sure
              </>
            )
          }
        >
          <Amount usd={of.forecast_usd} />
        </Stat>
      </div>
      {!of.is_sure && (
        <p class="faint small">
          {isSpread
            ? "Fewer than 14 days of history: the interval is a wide one."
            : "No whole day of history yet: what is still to come is not known."}
        </p>
      )}
      <Chart
        label="Spending of the month, summed up"
        at={at}
        series={series}
        height={150}
        showAt={showDay}
        showAxis={showShortMoney}
      />
      <Legend series={series} />
      {of.budgets !== null && of.budgets.length > 0 && <Budgets of={of.budgets} />}
    </div>
  );
}

function Budgets({ of }: { of: NonNullable<ForecastView["budgets"]> }) {
  const nameOf = useScopeName(of);
  return (
    <ul class="stack tight">
      {of.map((budget) => (
        <li key={budget.id} class="row apart">
          <a class="cut" href="/budgets">
            {nameOf(budget)}, <Amount usd={budget.limit_usd} /> {WINDOWS[budget.window]}
          </a>
          <Badge tone={budget.chance >= CLOSE ? "bad" : budget.chance > 0.05 ? "warn" : "good"}>
            {budget.reaches_limit_on
              ? `reached around ${showDay(Date.parse(budget.reaches_limit_on) / 1_000)}`
              : `${showShare(budget.chance)} chance to reach it`}
          </Badge>
        </li>
      ))}
    </ul>
  );
}

/** Days that were, summed up, and from today on the path with its interval. */
function chartOf(of: ForecastView): [number[], Series[]] {
  let sum = "0";
  const spent = of.days.map((day) => {
    sum = addMoney(sum, day.cost_usd);
    return { date: day.date, usd: sum };
  });
  const dates = [...new Set([...spent.map((day) => day.date), ...of.path.map((day) => day.date)])].sort();
  const past = new Map(spent.map((day) => [day.date, day.usd]));
  const path = new Map(of.path.map((day) => [day.date, day]));
  const line = (name: string, colour: string, kind: Series["kind"], read: (date: string) => unknown): Series => {
    const amounts = dates.map(read);
    return {
      name,
      colour,
      kind,
      values: amounts.map((amount) => (amount === undefined ? null : toNumber(amount))),
      shown: (index) => (amounts[index] === undefined ? "–" : showExact(amounts[index])),
    };
  };
  return [
    dates.map((date) => Date.parse(date) / 1_000),
    [
      line("Spent", "spent", "area", (date) => past.get(date)),
      line("Expected", "spent", "dashed", (date) => path.get(date)?.forecast_usd),
      line("At least", "before", "dashed", (date) => path.get(date)?.low_usd),
      line("At most", "before", "dashed", (date) => path.get(date)?.high_usd),
    ],
  ];
}
