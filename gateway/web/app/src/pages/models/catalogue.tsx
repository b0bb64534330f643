import { useEffect, useState } from "preact/hooks";
import { call } from "../../core/api";
import { plural, showCount } from "../../core/format";
import { useLoaded } from "../../core/loading";
import { Button } from "../../ui/button";
import { Card } from "../../ui/card";
import { Check } from "../../ui/field";
import { Scroll } from "../../ui/scroll";
import { Await, Badge, Empty } from "../../ui/states";
import { PriceDialog } from "./price_dialog";
import type { Model, Price } from "./shared";

const SHOWN = 100;
const PAUSE_MS = 250;

export function Catalogue({ onSimulate }: { onSimulate: (model: string) => void }) {
  const [typed, setTyped] = useState("");
  const [search, setSearch] = useState("");
  const [isCallable, setCallable] = useState(false);
  const [chosen, setChosen] = useState<Model | null>(null);
  useEffect(() => {
    const timer = setTimeout(() => setSearch(typed.trim()), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  const found = useLoaded(`catalogue ${search} ${isCallable}`, (signal) =>
    call("GET /api/catalogue", { query: { search, callable: isCallable || null, limit: SHOWN }, signal }),
  );
  return (
    <Card isFlush>
      <div class="log-head">
        <input
          class="input"
          style={{ maxWidth: "20rem" }}
          type="search"
          aria-label="Search models"
          placeholder="Search models"
          value={typed}
          onInput={(event) => setTyped(event.currentTarget.value)}
        />
        <Check label="Only what can be called" checked={isCallable} onChange={setCallable} />
      </div>
      <Await of={found} lines={9}>
        {(data) =>
          data.models.length === 0 ? (
            <Empty icon="search" title="No model fits" />
          ) : (
            <>
              <Table models={data.models} onChoose={setChosen} onSimulate={onSimulate} />
              <p class="log-foot small faint">
                {data.models.length < data.total
                  ? `${data.models.length} of ${plural(data.total, "model")}; search for more`
                  : plural(data.total, "model")}
              </p>
            </>
          )
        }
      </Await>
      {chosen && <PriceDialog of={chosen} onClose={() => setChosen(null)} />}
    </Card>
  );
}

const rateOf = (price: Price | null, name: string): string => price?.usd_per_million_tokens[name] ?? "–";

interface TableProps {
  models: readonly Model[];
  onChoose: (model: Model) => void;
  onSimulate: (model: string) => void;
}

function Table({ models, onChoose, onSimulate }: TableProps) {
  return (
    <Scroll>
      <table>
        <thead>
          <tr>
            <th scope="col">Model</th>
            <th scope="col" class="number">
              Input
            </th>
            <th scope="col" class="number wide-only">
              Cached
            </th>
            <th scope="col" class="number">
              Output
            </th>
            <th scope="col" class="number wide-only">
              Context
            </th>
            <th scope="col">
              <span class="unseen">What to do</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {models.map((model) => (
            <Row key={`${model.provider} ${model.name}`} of={model} onChoose={onChoose} onSimulate={onSimulate} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Row({ of, onChoose, onSimulate }: { of: Model } & Omit<TableProps, "models">) {
  return (
    <tr>
      <td>
        <button type="button" class="link" onClick={() => onChoose(of)}>
          {of.name}
        </button>
        <span class="sub">
          {of.provider}
          {!of.callable && " · no key"}
          {of.shutdown && ` · ends ${of.shutdown}`}
        </span>
      </td>
      <td class="number">
        {of.price === null ? (
          <Badge tone="warn">no price</Badge>
        ) : of.price.free ? (
          <Badge tone="good">free</Badge>
        ) : (
          rateOf(of.price, "input")
        )}
      </td>
      <td class="number soft wide-only">{rateOf(of.price, "cached_input")}</td>
      <td class="number">{rateOf(of.price, "output")}</td>
      <td class="number soft wide-only">{of.max_input_tokens ? showCount(of.max_input_tokens) : "–"}</td>
      <td class="number">
        {of.price && !of.price.free && (
          <Button kind="quiet" onClick={() => onSimulate(of.name)}>
            What if
          </Button>
        )}
      </td>
    </tr>
  );
}
