/** What budgets are called, which several pages say. */

import { type Answer, call } from "../../core/api";
import { useLoaded } from "../../core/loading";
import type { BudgetView } from "../../core/schema";
import { useProjects } from "../projects/shared";

export type Budget = Answer<"GET /api/budgets">["budgets"][number];

export const WINDOWS: Record<BudgetView["window"], string> = {
  hour: "an hour",
  day: "a day",
  week: "a week",
  month: "a month",
  total: "in all",
};

const MOST_PROJECTS = 20;

/** The names of the account's keys by their ids, as far as they were given any. */
async function loadKeyNames(signal: AbortSignal): Promise<Record<string, string>> {
  const { projects } = await call("GET /api/projects", { signal });
  const lists = await Promise.all(
    projects
      .slice(0, MOST_PROJECTS)
      .map(({ id }) => call("GET /api/projects/{project_id}/keys", { path: { project_id: id }, signal })),
  );
  return Object.fromEntries(lists.flatMap((list) => list.api_keys.map((key) => [key.id, key.name])));
}

/** What a budget governs, by the name that people gave it. */
export function useScopeName(
  budgets: readonly Pick<BudgetView, "scope">[],
): (budget: Pick<BudgetView, "scope" | "scope_id"> & { installation?: boolean }) => string {
  const projects = useProjects();
  const hasKeys = budgets.some(({ scope }) => scope === "key");
  const keys = useLoaded(hasKeys ? "key-names" : null, loadKeyNames);
  return ({ scope, scope_id, installation }) => {
    if (scope === "account") return "The whole account";
    if (scope === "tag") return `Tag ${scope_id}${installation ? " of the installation" : ""}`;
    if (scope === "project") return projects.data?.projects.find((each) => each.id === scope_id)?.name ?? scope_id;
    return `Key ${keys.data?.[scope_id] || scope_id}`;
  };
}
