/** What budgets are called, which several pages say. */

import type { BudgetView } from "../../core/schema";
import { useProjects } from "../projects/shared";

export const WINDOWS: Record<BudgetView["window"], string> = {
  hour: "an hour",
  day: "a day",
  week: "a week",
  month: "a month",
  total: "in all",
};

/** What a budget governs, by the name that people gave it. */
export function useScopeName(): (budget: Pick<BudgetView, "scope" | "scope_id">) => string {
  const projects = useProjects();
  return ({ scope, scope_id }) => {
    if (scope === "account") return "The whole account";
    if (scope === "tag") return `Tag ${scope_id}`;
    if (scope === "project") return projects.data?.projects.find((each) => each.id === scope_id)?.name ?? scope_id;
    return `Key ${scope_id}`;
  };
}
