/** The log as it is scrolled: page after page is fetched as its end comes near, and new calls are put on top. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { type Answer, call, Failure, type Query } from "../../core/api";

export type LoggedCall = Answer<"GET /api/requests">["requests"][number];

const PAGE = 100;
/** What a browser holds without effort; who wants more narrows the filters or exports. */
const MAX_ROWS = 20_000;

export interface Log {
  rows: readonly LoggedCall[];
  isLoading: boolean;
  isComplete: boolean;
  /** How far back the search has come where it found nothing. */
  scannedTo: string | null;
  error: Failure | undefined;
  more: () => void;
  put: (row: LoggedCall) => void;
  reload: () => void;
}

interface State {
  rows: readonly LoggedCall[];
  cursor: string | null;
  isLoading: boolean;
  isComplete: boolean;
  scannedTo: string | null;
  error: Failure | undefined;
}

const EMPTY: State = { rows: [], cursor: null, isLoading: true, isComplete: false, scannedTo: null, error: undefined };

export function useLog(key: string, query: Query): Log {
  const [state, setState] = useState<State>(EMPTY);
  const [turn, setTurn] = useState(0);
  const latest = useRef(state);
  latest.current = state;
  const control = useRef(new AbortController());

  const fetchPage = async (cursor: string | null) => {
    const { signal } = control.current;
    setState((now) => ({ ...now, isLoading: true, error: undefined }));
    try {
      const page = await call("GET /api/requests", { query: { ...query, limit: PAGE, cursor }, signal });
      if (signal.aborted) return;
      setState((now) => {
        const rows = cursor === null ? page.requests : [...now.rows, ...page.requests];
        const isComplete = page.next_cursor === null || rows.length >= MAX_ROWS;
        return {
          ...now,
          rows,
          cursor: page.next_cursor,
          isComplete,
          scannedTo: page.scanned_to ?? null,
          isLoading: false,
        };
      });
    } catch (caught) {
      if (signal.aborted) return;
      const error = caught instanceof Failure ? caught : new Failure(String(caught), 1);
      setState((now) => ({ ...now, isLoading: false, error }));
    }
  };

  useEffect(() => {
    control.current = new AbortController();
    setState(EMPTY);
    void fetchPage(null);
    return () => control.current.abort();
  }, [key, turn]);

  const more = () => {
    const { isLoading, isComplete, cursor, error } = latest.current;
    if (!isLoading && !isComplete && cursor !== null && !error) void fetchPage(cursor);
  };
  const put = useCallback((row: LoggedCall) => {
    setState((now) =>
      now.rows.some((known) => known.id === row.id) ? now : { ...now, rows: [row, ...now.rows].slice(0, MAX_ROWS) },
    );
  }, []);
  const reload = useCallback(() => setTurn((count) => count + 1), []);
  const { rows, isLoading, isComplete, scannedTo, error } = state;
  return { rows, isLoading, isComplete, scannedTo, error, more, put, reload };
}
