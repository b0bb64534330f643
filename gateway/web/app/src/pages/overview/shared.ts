/** The figures of a period, as every part of the page has them. */

import type { Answer } from "../../core/api";

export type OverviewView = Answer<"GET /api/overview">;
export type Figures = OverviewView["total"];
