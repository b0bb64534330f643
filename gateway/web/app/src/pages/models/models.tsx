import { setQuery, usePlace } from "../../core/router";
import { PageHead } from "../../frame";
import { Segmented } from "../../ui/segmented";
import { Catalogue } from "./catalogue";
import { Simulator } from "./simulator";
import { Unpriced } from "./unpriced";

const VIEWS = [
  ["catalogue", "Catalogue"],
  ["simulator", "What if"],
] as const;
type View = (typeof VIEWS)[number][0];

/** What can be called, at which prices from which source, and what another model would have cost. */
export function Models() {
  const { query } = usePlace();
  const model = query.get("model") ?? "";
  const view: View = query.get("view") === "simulator" ? "simulator" : "catalogue";
  const show = (wanted: View, name = model) => setQuery({ view: wanted, model: name }, { replace: false });
  return (
    <>
      <PageHead
        title="Models and prices"
        aside={<Segmented label="View" value={view} options={VIEWS} onChange={show} />}
      >
        Prices are in USD a million tokens, each valid from a day on and with its source.
      </PageHead>
      {view === "simulator" ? (
        <Simulator model={model} onModel={(name) => show("simulator", name)} />
      ) : (
        <div class="stack">
          <Unpriced />
          <Catalogue onSimulate={(name) => show("simulator", name)} />
        </div>
      )}
    </>
  );
}
