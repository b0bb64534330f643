/** The live tail: calls as they end, over a stream that the browser keeps open. */

import { useEffect, useRef, useState } from "preact/hooks";
import { addressOf, parseExact, type Query } from "../../core/api";
import type { LoggedCall } from "./log";

export type Tail = "off" | "connecting" | "live" | "ended";

interface Listener {
  onCall: (call: LoggedCall) => void;
  /** Some were missed: what is shown must be read anew. */
  onGap: () => void;
}

export function useTail(isOn: boolean, key: string, query: Query, listener: Listener): Tail {
  const [tail, setTail] = useState<Tail>("off");
  const latest = useRef(listener);
  latest.current = listener;
  useEffect(() => {
    if (!isOn) {
      setTail("off");
      return;
    }
    setTail("connecting");
    const source = new EventSource(addressOf("GET /api/requests/live", {}, query));
    source.onopen = () => setTail("live");
    source.onerror = () => setTail(source.readyState === EventSource.CLOSED ? "ended" : "connecting");
    source.addEventListener("request", (event) =>
      latest.current.onCall(parseExact((event as MessageEvent<string>).data) as LoggedCall),
    );
    source.addEventListener("gap", () => latest.current.onGap());
    source.addEventListener("end", () => {
      source.close();
      setTail("ended");
    });
    return () => source.close();
  }, [isOn, key]);
  return tail;
}
