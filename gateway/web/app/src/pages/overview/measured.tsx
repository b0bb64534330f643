import { call } from "../../core/api";
import { plural } from "../../core/format";
import { useLoaded } from "../../core/loading";
import type { Period } from "../../core/period";
import { Amount } from "../../ui/figures";

/** What answers to like questions saved by the calls that were held back, beside what the ledger takes them to have saved. */
export function Measured({ period, projectId }: { period: Period; projectId: string }) {
  const found = useLoaded(`measured ${projectId} ${period.key}`, (signal) =>
    call("GET /api/overview/holdout", { query: { ...period.query, project_id: projectId }, signal }),
  );
  const of = found.data;
  if (!of?.hits) return null;
  const isCut = period.range === "90d" || period.range === "1y";
  return (
    <p class="small soft measured">
      {plural(of.hits, "like question")} {of.hits === 1 ? "was" : "were"} answered from the cache
      {isCut && " in the last 30 days"}, by what the answers once cost worth <Amount usd={of.saved_semantic_usd} />.{" "}
      {of.measured_usd === null ? (
        <>
          Not enough data to measure it: 1 in 100 is held back and sent to its provider, {of.holdouts} so far, and it
          takes {of.holdouts_needed}.
        </>
      ) : (
        <>
          Measured by {plural(of.holdouts, "call")} that {of.holdouts === 1 ? "was" : "were"} held back:{" "}
          <strong>
            <Amount usd={of.measured_usd} />
          </strong>{" "}
          (<Amount usd={of.low_usd} /> to <Amount usd={of.high_usd} />
          ).
        </>
      )}
    </p>
  );
}
