/** A year of days is too many bars to tell apart: neighbours are summed up, amounts with every digit. */

import { addMoney } from "../../core/money";
import type { OverviewView } from "./shared";

export type Bucket = OverviewView["series"][number];

/** What bars show of a bucket, or of several. */
export interface Bar {
  at: string;
  requests: number;
  errors: number;
  hits_exact: number;
  hits_semantic: number;
  cost_usd: unknown;
  saved_usd: string;
}

const MAX_BARS = 130;
const DAYS_A_WEEK = 7;

/** How many buckets one bar stands for. */
export function widthOf(count: number): number {
  if (count <= MAX_BARS) return 1;
  return Math.max(DAYS_A_WEEK, Math.ceil(count / MAX_BARS));
}

/** Bars of `width` buckets each; the last one may stand for fewer. */
export function condense(series: readonly Bucket[], width: number): Bar[] {
  const bars: Bar[] = [];
  for (let start = 0; start < series.length; start += width) {
    bars.push(
      series
        .slice(start, start + width)
        .map(asBar)
        .reduce(added),
    );
  }
  return bars;
}

const asBar = (bucket: Bucket): Bar => ({
  at: bucket.at,
  requests: bucket.requests,
  errors: bucket.errors,
  hits_exact: bucket.hits_exact,
  hits_semantic: bucket.hits_semantic,
  cost_usd: bucket.cost_usd,
  saved_usd: addMoney(bucket.saved_exact_usd, bucket.saved_semantic_usd),
});

const added = (sum: Bar, bar: Bar): Bar => ({
  at: sum.at,
  requests: sum.requests + bar.requests,
  errors: sum.errors + bar.errors,
  hits_exact: sum.hits_exact + bar.hits_exact,
  hits_semantic: sum.hits_semantic + bar.hits_semantic,
  cost_usd: addMoney(sum.cost_usd, bar.cost_usd),
  saved_usd: addMoney(sum.saved_usd, bar.saved_usd),
});
