/** Reading from the gateway in a component: the last answer at once, the new one when it is there. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { Failure } from "./api";

export interface Loaded<T> {
  data: T | undefined;
  error: Failure | undefined;
  isLoading: boolean;
  reload: () => void;
}

const MAX_KEPT = 60;
const RETRY_MS = 4_000;
const kept = new Map<string, unknown>();

function keep(key: string, value: unknown): void {
  kept.delete(key);
  kept.set(key, value);
  if (kept.size > MAX_KEPT) kept.delete(kept.keys().next().value as string);
}

/** Forget all answers: another person or account sees its own. */
export function forgetAll(): void {
  kept.clear();
}

const asFailure = (error: unknown): Failure =>
  error instanceof Failure ? error : new Failure(error instanceof Error ? error.message : String(error), 1);

/** Load what `key` names and load it anew when that changes, every `everyMs`, and when a lost gateway is back. */
export function useLoaded<T>(key: string | null, load: (signal: AbortSignal) => Promise<T>, everyMs = 0): Loaded<T> {
  const [, redraw] = useState(0);
  const [turn, setTurn] = useState(0);
  const state = useRef<{ key: string | null; error?: Failure; isLoading: boolean }>({ key, isLoading: key !== null });
  if (state.current.key !== key) state.current = { key, isLoading: key !== null };
  const loader = useRef(load);
  loader.current = load;

  useEffect(() => {
    if (key === null) return;
    const control = new AbortController();
    let timer = 0;
    const again = (ms: number) => {
      timer = window.setTimeout(run, ms);
    };
    const settle = (error: Failure | undefined) => {
      if (control.signal.aborted) return;
      state.current = { key, isLoading: false, ...(error ? { error } : {}) };
      redraw((count) => count + 1);
      if (error?.isOffline) again(RETRY_MS);
      else if (everyMs > 0) again(everyMs);
    };
    const run = () => {
      if (document.hidden && everyMs > 0) return again(everyMs);
      loader.current(control.signal).then(
        (answer) => {
          if (!control.signal.aborted) keep(key, answer);
          settle(undefined);
        },
        (error) => settle(asFailure(error)),
      );
    };
    run();
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  }, [key, turn, everyMs]);

  const reload = useCallback(() => setTurn((count) => count + 1), []);
  return {
    data: key === null ? undefined : (kept.get(key) as T | undefined),
    error: state.current.error,
    isLoading: state.current.isLoading,
    reload,
  };
}

/** What a field says before it is sent: it begins as what is kept, and anew whenever that changed elsewhere. */
export function useDraft<T extends string | number | boolean>(kept: T): [T, (draft: T) => void] {
  const [draft, setDraft] = useState(kept);
  useEffect(() => setDraft(kept), [kept]);
  return [draft, setDraft];
}

/** Do something once at a time and tell how it went. */
export function useDeed<A extends unknown[]>(
  deed: (...given: A) => Promise<void>,
): {
  run: (...given: A) => Promise<void>;
  isBusy: boolean;
  error: Failure | undefined;
} {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<Failure>();
  const run = async (...given: A) => {
    if (isBusy) return;
    setBusy(true);
    setError(undefined);
    try {
      await deed(...given);
    } catch (caught) {
      setError(asFailure(caught));
    } finally {
      setBusy(false);
    }
  };
  return { run, isBusy, error };
}
