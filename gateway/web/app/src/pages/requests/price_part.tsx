import { showMoment, showWhole } from "../../core/format";
import { showExact } from "../../core/money";
import { Scroll } from "../../ui/scroll";
import type { CallView } from "./shared";

type Tokens = CallView["tokens"];
const BUCKETS: readonly (readonly [bucket: keyof Tokens, name: string, rate: string])[] = [
  ["input", "Fresh input", "input"],
  ["cache_read", "Read from the provider's cache", "cached_input"],
  ["cache_write", "Written to the provider's cache", "cache_write"],
  ["cache_write_1h", "Written for an hour", "cache_write_1h"],
  ["audio_input", "Audio in", "audio_input"],
  ["image_input", "Images in", "image_input"],
  ["output", "Output", "output"],
  ["audio_output", "Audio out", "audio_output"],
  ["image_output", "Images out", "image_output"],
];
const BASES: Record<string, string> = {
  operator: "the operator's price",
  reported: "the cost that the provider reported",
  bundled: "the bundled price",
  free: "free",
  unpriced: "no price is known",
};

/** What was counted, at which price. */
export function PricePart({ of }: { of: CallView }) {
  const rates = of.price.usd_per_million_tokens;
  const shown = BUCKETS.filter(([bucket]) => (of.tokens[bucket] as number) > 0);
  return (
    <section class="stack tight">
      <h3>Tokens and price</h3>
      {shown.length > 0 && (
        <Scroll>
          <table>
            <thead>
              <tr>
                <th scope="col">Bucket</th>
                <th scope="col" class="number">
                  Tokens
                </th>
                <th scope="col" class="number">
                  USD a million
                </th>
              </tr>
            </thead>
            <tbody>
              {shown.map(([bucket, name, rate]) => (
                <tr key={bucket}>
                  <td>
                    {name}
                    {bucket === "output" && of.tokens.reasoning > 0 && (
                      <span class="sub">{showWhole(of.tokens.reasoning)} of them reasoning</span>
                    )}
                  </td>
                  <td class="number">{showWhole(of.tokens[bucket] as number)}</td>
                  <td class="number soft">{rates?.[rate] ?? "–"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      <p class="soft">
        {showExact(of.price.cost_usd)} by {BASES[of.price.basis] ?? of.price.basis}
        {of.price.id && (
          <>
            {" "}
            <span class="mono small faint">{of.price.id}</span>
          </>
        )}
        .
      </p>
      {of.price.corrections.map((each) => (
        <p key={each.created_at} class="small soft">
          Corrected by {showExact(each.cost_usd)} on {showMoment(each.created_at)}.
        </p>
      ))}
    </section>
  );
}
