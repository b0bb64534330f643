import { useEffect, useState } from "preact/hooks";
import { setQuery, usePlace } from "../../core/router";
import { Button } from "../../ui/button";
import { Select } from "../../ui/field";
import { FILTERS, type FilterName } from "./filters";

const STATUSES = [
  ["", "Any outcome"],
  ["complete", "Complete"],
  ["failed", "Failed"],
  ["refused", "Refused"],
  ["cancelled", "Client left"],
  ["incomplete", "Broke off"],
  ["in_doubt", "In doubt"],
] as const;
const CACHES = [
  ["", "Cached or not"],
  ["hit", "From the cache"],
  ["exact", "Exact repeats"],
  ["semantic", "Same meaning"],
  ["miss", "Not cached"],
] as const;
const TYPED: readonly (readonly [FilterName, string])[] = [
  ["model", "Model"],
  ["provider", "Provider"],
  ["tag", "Tag"],
];
const PAUSE_MS = 350;

/** Narrows the log; each choice stands in the address at once. */
export function FilterBar({ count }: { count: number }) {
  const { query } = usePlace();
  const clear = () => setQuery(Object.fromEntries(FILTERS.map((name) => [name, null])));
  return (
    <div class="row filters">
      {TYPED.map(([name, text]) => (
        <Typed key={name} name={name} text={text} value={query.get(name) ?? ""} />
      ))}
      <Select
        isBare
        label="Outcome"
        value={query.get("status") ?? ""}
        options={STATUSES}
        onChange={(status) => setQuery({ status })}
      />
      <Select
        isBare
        label="Cache"
        value={query.get("cache") ?? ""}
        options={CACHES}
        onChange={(cache) => setQuery({ cache })}
      />
      {query.get("key_id") && (
        <Button icon="close" onClick={() => setQuery({ key_id: null })}>
          One key
        </Button>
      )}
      {count > 0 && (
        <Button kind="quiet" onClick={clear}>
          Clear
        </Button>
      )}
    </div>
  );
}

/** Text is applied when typing pauses. */
function Typed({ name, text, value }: { name: FilterName; text: string; value: string }) {
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  useEffect(() => {
    if (typed === value) return;
    const timer = setTimeout(() => setQuery({ [name]: typed.trim() }), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <input
      class="input"
      type="search"
      aria-label={text}
      placeholder={text}
      value={typed}
      onInput={(event) => setTyped(event.currentTarget.value)}
    />
  );
}
