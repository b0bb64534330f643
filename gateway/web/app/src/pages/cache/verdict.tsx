/** What was decided for a question, and whether it was right. */

import type { Answer } from "../../core/api";
import { Badge } from "../../ui/states";

export type Hit = Answer<"GET /api/projects/{project_id}/cache/hits">["hits"][number];

export const DECISIONS: Record<Hit["decision"], string> = {
  serve: "served",
  audit: "served and checked",
  holdout: "held back to learn",
  shadow: "would have been served",
};

/** Who says so. */
export const JUDGES: Record<NonNullable<Hit["judged_by"]>, string> = {
  exact: "by its text",
  embedding: "by its likeness",
  llm: "by the judge",
  recall: "by who took it back",
};

export function Verdict({ right }: { right: boolean | null }) {
  if (right === null) return <span class="faint">not known</span>;
  return <Badge tone={right ? "good" : "bad"}>{right ? "right" : "wrong"}</Badge>;
}
