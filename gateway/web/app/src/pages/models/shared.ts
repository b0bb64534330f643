/** A model and its price, as the catalogue lists them. */

import type { Answer } from "../../core/api";

export type Model = Answer<"GET /api/catalogue">["models"][number];
export type Price = NonNullable<Model["price"]>;
