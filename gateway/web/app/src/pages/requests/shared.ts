/** One call in every detail. */

import type { Answer } from "../../core/api";

export type CallView = Answer<"GET /api/requests/{request_id}">;
