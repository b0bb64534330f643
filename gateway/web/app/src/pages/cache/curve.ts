/** The report's curve: what each bound on errors would give. */

import type { Answer } from "../../core/api";

export type ReportView = Answer<"GET /api/projects/{project_id}/cache/report">;
export type Point = ReportView["curve"][number];
export type BoundName = "max_wrong_rate" | "max_wrong_hit_rate";

/** What a share of wrong answers is a share of. */
export const OF: Record<BoundName, string> = {
  max_wrong_hit_rate: "of what is served",
  max_wrong_rate: "of all requests",
};

/** The points of one kind of bound, from the strictest to the loosest. */
export function pointsOf(curve: readonly Point[], name: BoundName): Point[] {
  return curve.filter((point) => typeof point[name] === "number").sort((a, b) => (a[name] ?? 0) - (b[name] ?? 0));
}

/** Where the slider stops. */
export interface Stop {
  bound: number;
  /** What is known of the bound: its own point of the curve, or the nearest one. */
  point: Point;
}

/** Each point of the curve, and between them the project's own bound, which may be any. */
export function stopsOf(points: readonly Point[], name: BoundName, own: number | null): Stop[] {
  const stops = points.map((point) => ({ bound: point[name]!, point }));
  if (own === null || stops.some(({ bound }) => bound === own)) return stops;
  return [...stops, { bound: own, point: nearest(stops, own).point }].sort((one, other) => one.bound - other.bound);
}

export function nearest(stops: readonly Stop[], bound: number): Stop {
  const farness = (stop: Stop) => Math.abs(stop.bound - bound);
  return stops.reduce((best, stop) => (farness(stop) < farness(best) ? stop : best));
}

/** Whether anything is served within a bound: where nothing is, none of it is wrong, and nothing is known of that. */
export const isServing = (point: Point): boolean => point.threshold !== null;
