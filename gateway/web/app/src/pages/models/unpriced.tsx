import { type Answer, call } from "../../core/api";
import { plural, showDay, showWhole } from "../../core/format";
import { useLoaded } from "../../core/loading";
import { Card } from "../../ui/card";
import { Code } from "../../ui/copy";
import { Count } from "../../ui/figures";
import { Scroll } from "../../ui/scroll";
import { Badge } from "../../ui/states";

type Calls = Answer<"GET /api/catalogue/unpriced">;
type Lacking = Calls["models"][number];
const PERIOD = "30d";
const SHOWN = 10;

/** What was answered and costs nothing only because nobody knows its price, and what to do about it. */
export function Unpriced() {
  const found = useLoaded(`unpriced ${PERIOD}`, (signal) =>
    call("GET /api/catalogue/unpriced", { query: { range: PERIOD }, signal }),
  );
  if (!found.data || found.data.models.length === 0) return null;
  return <Warning of={found.data} />;
}

function Warning({ of }: { of: Calls }) {
  const rows = rowsFor(of.models.filter((each) => !each.price_known));
  const since = of.models.map((each) => each.first_at).sort()[0] ?? of.from;
  return (
    <Card
      title="Calls without a price"
      isFlush
      aside={<Badge tone="warn">{plural(of.requests, "call")}</Badge>}
      note={`In the last 30 days. They count as $0 everywhere until they have a price.${
        of.exact ? "" : " There are more than could be counted."
      }`}
    >
      <Scroll isTight>
        <table>
          <thead>
            <tr>
              <th scope="col">Model</th>
              <th scope="col" class="number">
                Calls
              </th>
              <th scope="col" class="number">
                Tokens
              </th>
              <th scope="col" class="wide-only">
                Seen
              </th>
              <th scope="col">Price</th>
            </tr>
          </thead>
          <tbody>
            {of.models.slice(0, SHOWN).map((each) => (
              <Row key={`${each.provider} ${each.upstream_model} ${each.model}`} of={each} />
            ))}
          </tbody>
        </table>
      </Scroll>
      <div class="inside stack tight">
        {rows && (
          <>
            <p class="small soft">
              Give each a price in the configuration, in USD a million tokens, from a day before the first call on; then
              start the gateway anew.
            </p>
            <Code text={rows} />
          </>
        )}
        <p class="small soft">Then charge what is past; with --dry-run it only tells what would be charged.</p>
        <Code text={`watchllm ledger rerate --from ${since.slice(0, 10)}`} isLine />
      </div>
    </Card>
  );
}

function Row({ of }: { of: Lacking }) {
  return (
    <tr>
      <td>
        {of.model}
        <span class="sub">
          {of.provider}
          {of.upstream_model !== of.model && ` · ${of.upstream_model}`}
        </span>
      </td>
      <td class="number">
        <Count of={of.requests} />
      </td>
      <td class="number">
        <Count of={of.tokens} />
      </td>
      <td class="wide-only soft" title={`${showWhole(of.requests)} calls`}>
        {showDay(of.first_at)} – {showDay(of.last_at)}
      </td>
      <td>{of.price_known ? <Badge tone="accent">to be charged</Badge> : <Badge tone="warn">none</Badge>}</td>
    </tr>
  );
}

/** A row of [[prices]] for each; TOML's basic strings are written as JSON's. */
function rowsFor(models: readonly Lacking[]): string {
  const first = new Map<string, Lacking>();
  for (const each of models) {
    const name = `${each.provider} ${each.upstream_model}`;
    const known = first.get(name);
    if (!known || each.first_at < known.first_at) first.set(name, each);
  }
  return [...first.values()]
    .slice(0, SHOWN)
    .map((each) =>
      [
        "[[prices]]",
        `provider = ${JSON.stringify(each.provider)}`,
        `model = ${JSON.stringify(each.upstream_model)}`,
        `effective_from = "${each.first_at.slice(0, 10)}"`,
        'input = "…"',
        'output = "…"',
      ].join("\n"),
    )
    .join("\n\n");
}
