import { type Period, RANGES, setRange } from "../core/period";
import { setQuery } from "../core/router";
import { Button } from "./button";
import { Segmented } from "./segmented";

/** Chooses the period; a drawn span can be left again. */
export function RangeChoice({ period }: { period: Period }) {
  return (
    <div class="row">
      {period.range === "own" && (
        <Button kind="quiet" icon="close" onClick={() => setQuery({ from: null, to: null }, { replace: false })}>
          Zoom out
        </Button>
      )}
      <Segmented
        label="Period"
        value={period.range}
        options={RANGES}
        onChange={(range) => range !== "own" && setRange(range)}
      />
    </div>
  );
}
