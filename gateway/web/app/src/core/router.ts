/** Where the page is: the path, its parameters, and moving without loading anew. */

import { useEffect, useState } from "preact/hooks";

type Listener = () => void;
const listeners = new Set<Listener>();

export interface Place {
  path: string;
  query: URLSearchParams;
}

const here = (): Place => ({ path: location.pathname, query: new URLSearchParams(location.search) });

function tell(): void {
  for (const listener of listeners) listener();
}

addEventListener("popstate", tell);

/** Go to an address of the dashboard; `replace` leaves no step to go back to. */
export function go(address: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  tell();
  if (!replace) scrollTo(0, 0);
}

/** Change parameters of the address in place; an empty value takes one away. */
export function setQuery(changes: Record<string, string | null | undefined>, { replace = true } = {}): void {
  const { path, query } = here();
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const search = query.toString();
  const address = search ? `${path}?${search}` : path;
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  tell();
}

export function usePlace(): Place {
  const [place, setPlace] = useState(here);
  useEffect(() => {
    const listener = () => setPlace(here());
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return place;
}

/** Follow a link of the page itself by script; everything else is the browser's. */
export function followLinks(): void {
  document.addEventListener("click", (event) => {
    const link = (event.target as Element).closest?.("a");
    const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !isPlain || event.defaultPrevented || link.target || link.hasAttribute("download")) return;
    if (link.origin !== location.origin || link.hasAttribute("data-outside") || link.hash) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}
