/** The report's curve: what each bound on errors would give. */

import type { Answer } from "../../core/api";

export type ReportView = Answer<"GET /api/projects/{project_id}/cache/report">;
export type Point = ReportView["curve"][number];
export type BoundName = "max_wrong_rate" | "max_wrong_hit_rate";

/** The points of one kind of bound, from the strictest to the loosest. */
export function pointsOf(curve: readonly Point[], name: BoundName): Point[] {
  return curve.filter((point) => typeof point[name] === "number").sort((a, b) => (a[name] ?? 0) - (b[name] ?? 0));
}

/** Which point is nearest to a bound; the first where there is none. */
export function nearest(points: readonly Point[], name: BoundName, bound: number | null): number {
  let best = 0;
  for (const [index, point] of points.entries()) {
    const chosen = points[best]![name] ?? 0;
    if (bound !== null && Math.abs((point[name] ?? 0) - bound) < Math.abs(chosen - bound)) best = index;
  }
  return best;
}
