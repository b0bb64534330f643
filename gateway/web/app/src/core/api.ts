/** The only way to the gateway: typed by its own OpenAPI document, with amounts kept exact. */

import { plain } from "./money";
import type { Operations } from "./schema";

type Names<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}` ? Name | Names<Rest> : never;
export type Query = Record<string, string | number | boolean | null | undefined>;
export type Operation = keyof Operations & string;
export type Answer<K extends Operation> = Operations[K]["answer"];

type Given<K extends Operation> = { query?: Query; signal?: AbortSignal } & ([Names<K>] extends [never]
  ? { path?: undefined }
  : { path: Record<Names<K>, string> }) &
  (Operations[K]["body"] extends undefined ? { body?: undefined } : { body: Operations[K]["body"] });
type Argument<K extends Operation> = Record<string, never> extends Given<K> ? [Given<K>?] : [Given<K>];

/** What went wrong, in words for a person. */
export class Failure extends Error {
  constructor(
    message: string,
    /** 0: the gateway did not answer. */
    readonly status: number,
    readonly code = "",
  ) {
    super(message);
  }

  get isOffline(): boolean {
    return this.status === 0;
  }
}

const AMOUNT = /(^|_)(usd|cost|spent|limit)(_|$)/;
/** Told to the window when the gateway did not answer. */
export const AWAY = "gatewayaway";
const TIMEOUT_MS = 30_000;

/** Parse JSON; amounts become strings with every digit that was sent. */
export function parseExact(text: string): unknown {
  return JSON.parse(text, function (this: unknown, key: string, value: unknown, context?: { source?: string }) {
    if (typeof value !== "number" || !AMOUNT.test(key)) return value;
    const source = context?.source;
    return source !== undefined && !/e/i.test(source) ? source : plain(value);
  } as (this: unknown, key: string, value: unknown) => unknown);
}

/** Put ids and parameters into an operation's path. */
export function addressOf(operation: string, path: Record<string, string> = {}, query: Query = {}): string {
  const [, pattern = ""] = operation.split(" ");
  const filled = pattern.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(path[name] ?? ""));
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
  return search ? `${filled}?${search}` : filled;
}

/** Ask the gateway; throws Failure. */
export async function call<K extends Operation>(operation: K, ...[given]: Argument<K>): Promise<Answer<K>> {
  const { path, query, body, signal } = (given ?? {}) as {
    path?: Record<string, string>;
    query?: Query;
    body?: unknown;
    signal?: AbortSignal;
  };
  const verb = operation.split(" ")[0]!;
  const hasBody = verb !== "GET";
  const response = await send(addressOf(operation, path, query), {
    method: verb,
    headers: hasBody ? { "content-type": "application/json" } : {},
    body: hasBody ? JSON.stringify(body ?? {}) : null,
    signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), ...(signal ? [signal] : [])]),
  });
  return (await read(response)) as Answer<K>;
}

async function send(address: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(address, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    dispatchEvent(new Event(AWAY));
    throw new Failure("The gateway does not answer.", 0);
  }
}

async function read(response: Response): Promise<unknown> {
  const text = await response.text();
  const answer = isJson(response) ? parseExact(text) : text;
  if (response.ok) return answer;
  const { message, code } = faultOf(answer);
  throw new Failure(message || `The gateway answered ${response.status}.`, response.status, code);
}

const isJson = (response: Response): boolean => (response.headers.get("content-type") ?? "").includes("json");

/** The words of a fault, whichever document's envelope it is in. */
function faultOf(answer: unknown): { message: string; code: string } {
  const body = (answer ?? {}) as Record<string, unknown>;
  const error = body.error ?? body.detail ?? body.message;
  if (typeof error === "string") return { message: error, code: String(body.code ?? "") };
  const inner = (error ?? {}) as Record<string, unknown>;
  return { message: String(inner.message ?? ""), code: String(inner.code ?? "") };
}
