import { useState } from "preact/hooks";
import { type Answer, call } from "../../core/api";
import { changeOf, plural, showWhole } from "../../core/format";
import { useLoaded } from "../../core/loading";
import { toNumber } from "../../core/money";
import { usePeriod } from "../../core/period";
import { usePlace } from "../../core/router";
import { Button } from "../../ui/button";
import { Card } from "../../ui/card";
import { Input } from "../../ui/field";
import { Amount, Change, Stat } from "../../ui/figures";
import { RangeChoice } from "../../ui/range";
import { Scroll } from "../../ui/scroll";
import { Await, Empty } from "../../ui/states";
import { ProjectChoice } from "../projects/choice";

type Simulation = Answer<"GET /api/simulation">;

/** What another model would have cost on the traffic that there was. */
export function Simulator({ model, onModel }: { model: string; onModel: (model: string) => void }) {
  const period = usePeriod("30d");
  const projectId = usePlace().query.get("project") ?? "";
  const [typed, setTyped] = useState(model);
  const simulation = useLoaded(model ? `simulation ${model} ${projectId} ${period.key}` : null, (signal) =>
    call("GET /api/simulation", { query: { ...period.query, model, project_id: projectId }, signal }),
  );
  return (
    <Card title="What would another model have cost?">
      <div class="stack wide">
        <form
          class="row"
          style={{ alignItems: "end" }}
          onSubmit={(event) => {
            event.preventDefault();
            onModel(typed.trim());
          }}
        >
          <div style={{ flex: "1 1 12rem", maxWidth: "20rem" }}>
            <Input label="Model" required placeholder="gpt-4o-mini" value={typed} onInput={setTyped} />
          </div>
          <Button kind="main" type="submit" disabled={!typed.trim()}>
            Work it out
          </Button>
          <ProjectChoice value={projectId} withAll />
          <RangeChoice period={period} />
        </form>
        {model ? (
          <Await of={simulation}>{(data) => <Result of={data} />}</Await>
        ) : (
          <Empty icon="models" title="Name a model">
            <p>Its price is put on every call of the period, as it was counted.</p>
          </Empty>
        )}
      </div>
    </Card>
  );
}

function Result({ of }: { of: Simulation }) {
  if (of.requests === 0) return <Empty title="No call in this period" />;
  const change = changeOf(toNumber(of.simulated_usd), toNumber(of.actual_usd));
  return (
    <div class="stack wide">
      <div class="figures">
        <Stat name="It did cost" dot="spent" note={plural(of.requests, "call")}>
          <Amount usd={of.actual_usd} />
        </Stat>
        <Stat
          name={`With ${of.model}`}
          dot="third"
          note={
            <>
              <Amount usd={of.low_usd} /> to <Amount usd={of.high_usd} />
            </>
          }
        >
          <Amount usd={of.simulated_usd} />
        </Stat>
        <Stat name="Difference" note={of.provider}>
          {change === null ? "–" : <Change by={change} isGood={change <= 0} />}
        </Stat>
      </div>
      <p class="small soft">{of.interval}</p>
      <Parts of={of.by_model} />
    </div>
  );
}

function Parts({ of }: { of: Simulation["by_model"] }) {
  return (
    <Scroll>
      <table>
        <thead>
          <tr>
            <th scope="col">Instead of</th>
            <th scope="col" class="number">
              Calls
            </th>
            <th scope="col" class="number">
              Did cost
            </th>
            <th scope="col" class="number">
              Would cost
            </th>
          </tr>
        </thead>
        <tbody>
          {of.map((each) => (
            <tr key={`${each.provider} ${each.model} ${each.upstream_model}`}>
              <td>
                {each.model} <span class="faint">{each.provider}</span>
              </td>
              <td class="number">{showWhole(each.requests)}</td>
              <td class="number">
                <Amount usd={each.actual_usd} />
              </td>
              <td class="number">
                <Amount usd={each.simulated_usd} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
