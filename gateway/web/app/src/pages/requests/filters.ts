/** The filters of the log: they stand in the address, so that a view can be kept and shared. */

import type { Query } from "../../core/api";
import { usePlace } from "../../core/router";

export const FILTERS = [
  "model",
  "provider",
  "key_id",
  "tag",
  "session",
  "status",
  "cache",
  "errors",
  "error_code",
] as const;
export type FilterName = (typeof FILTERS)[number];

export interface Filters {
  projectId: string;
  query: Query;
  /** Names them in keys of what was loaded. */
  key: string;
  /** How many are set. */
  count: number;
}

export function useFilters(): Filters {
  const { query } = usePlace();
  const projectId = query.get("project") ?? "";
  const set = FILTERS.filter((name) => query.get(name));
  const asked: Query = Object.fromEntries(set.map((name) => [name, query.get(name)]));
  return {
    projectId,
    query: { ...asked, project_id: projectId },
    key: JSON.stringify([projectId, set.map((name) => [name, query.get(name)])]),
    count: set.length,
  };
}
