import { call } from "../../core/api";
import { plural } from "../../core/format";
import { useLoaded } from "../../core/loading";
import type { Period } from "../../core/period";
import { Notice } from "../../ui/states";

const LONGEST = "90d";
const LONGEST_MS = 92 * 86_400_000;

/** Says that the sums lack something, where they do. */
export function UnpricedHint({ period, projectId }: { period: Period; projectId: string }) {
  const { from, to } = period.query;
  const isLong = from ? Date.parse(String(to)) - Date.parse(String(from)) > LONGEST_MS : period.range === "1y";
  const query = isLong ? { range: LONGEST } : period.query;
  const found = useLoaded(`unpriced ${projectId} ${JSON.stringify(query)}`, (signal) =>
    call("GET /api/catalogue/unpriced", { query: { ...query, project_id: projectId }, signal }),
  );
  if (!found.data?.requests) return null;
  return (
    <Notice tone="warn" icon="warning">
      {plural(found.data.requests, "call")}
      {isLong ? " of the last 90 days" : ""} without a known price, counted as $0 here.{" "}
      <a href="/models">See which, and what to do</a>
    </Notice>
  );
}
