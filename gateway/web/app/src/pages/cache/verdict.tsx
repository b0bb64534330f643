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

export function Verdict({ right }: { right: boolean | null }) {
  if (right === null) return <span class="faint">not known</span>;
  return <Badge tone={right ? "good" : "bad"}>{right ? "right" : "wrong"}</Badge>;
}
