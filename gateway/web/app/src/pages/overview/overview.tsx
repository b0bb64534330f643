import { useMemo } from "preact/hooks";
import { type Answer, call } from "../../core/api";
import { showShare, showWhole } from "../../core/format";
import { useLoaded } from "../../core/loading";
import { showExact, showShortMoney, toNumber } from "../../core/money";
import { setQuery, usePlace } from "../../core/router";
import { PageHead } from "../../frame";
import { Card } from "../../ui/card";
import { Chart, Legend, type Series } from "../../ui/chart";
import { Amount, Count, Share, Stat } from "../../ui/figures";
import { Segmented } from "../../ui/segmented";
import { Await, Empty } from "../../ui/states";

type Stats = Answer<"GET /api/dashboard/stats">;
const PERIODS = [
  ["7d", "7 days"],
  ["30d", "30 days"],
  ["all", "All"],
] as const;
const REFRESH_MS = 15_000;
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });

export function Overview() {
  const asked = usePlace().query.get("period");
  const period = asked === "7d" || asked === "all" ? asked : "30d";
  const stats = useLoaded(
    `stats ${period}`,
    (signal) => call("GET /api/dashboard/stats", { query: { period }, signal }),
    REFRESH_MS,
  );
  return (
    <>
      <PageHead
        title="Overview"
        aside={
          <Segmented
            label="Period"
            value={period}
            options={PERIODS}
            onChange={(value) => setQuery({ period: value })}
          />
        }
      />
      <Await of={stats}>{(data) => <Figures stats={data} />}</Await>
    </>
  );
}

function Figures({ stats }: { stats: Stats }) {
  if (stats.requests_total === 0)
    return (
      <Card>
        <Empty title="No calls yet">
          <p>Point a client at this gateway, and what it costs shows up here within a second.</p>
          <a class="button main" href="/welcome">
            Make the first call
          </a>
        </Empty>
      </Card>
    );
  return (
    <div class="stack">
      <div class="card">
        <div class="inside figures">
          <Stat name="Spent this month">
            <Amount usd={stats.cost_this_month} />
          </Stat>
          <Stat name="Saved by the cache" dot="saved">
            <Amount usd={stats.cost_saved} />
          </Stat>
          <Stat name="Requests" note={`${showWhole(stats.requests_today)} today`}>
            <Count of={stats.requests_total} />
          </Stat>
          <Stat name="Answered from the cache">{showShare(stats.cache_hit_rate)}</Stat>
        </div>
      </div>
      <Spending stats={stats} />
      <Models stats={stats} />
    </div>
  );
}

function Spending({ stats }: { stats: Stats }) {
  const days = stats.chart_data;
  const [at, series] = useMemo((): [number[], Series[]] => {
    const spent: Series = {
      name: "Spent",
      colour: "spent",
      kind: "bar",
      values: days.map((day) => toNumber(day.cost)),
      shown: (index) => showExact(days[index]?.cost ?? "0"),
    };
    return [days.map((day) => Date.parse(day.date) / 1_000), [spent]];
  }, [stats]);
  return (
    <Card title="Spending" aside={<Legend series={series} />}>
      <Chart
        label="Spending by day"
        at={at}
        series={series}
        showAt={(moment) => DAY.format(moment * 1_000)}
        showAxis={showShortMoney}
      />
    </Card>
  );
}

function Models({ stats }: { stats: Stats }) {
  const most = Math.max(...stats.top_models.map((model) => toNumber(model.cost)), 1e-12);
  return (
    <Card title="Models that cost most" isFlush>
      <div class="table">
        <table>
          <thead>
            <tr>
              <th scope="col">Model</th>
              <th scope="col" class="number">
                Requests
              </th>
              <th scope="col" class="number">
                Spent
              </th>
            </tr>
          </thead>
          <tbody>
            {stats.top_models.map((model) => (
              <tr key={model.model}>
                <td>
                  {model.model}
                  <Share part={toNumber(model.cost) / most} />
                </td>
                <td class="number">
                  <Count of={model.requests} />
                </td>
                <td class="number">
                  <Amount usd={model.cost} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}
