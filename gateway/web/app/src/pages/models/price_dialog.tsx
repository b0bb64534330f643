import { showCount, showDay } from "../../core/format";
import { Dialog } from "../../ui/dialog";
import { Badge } from "../../ui/states";
import type { Model, Price } from "./shared";

/** A model's prices, each with its day and source. */
export function PriceDialog({ of, onClose }: { of: Model; onClose: () => void }) {
  return (
    <Dialog title={of.name} onClose={onClose}>
      <p class="soft">
        {of.kind} at {of.provider}, there called <span class="mono small">{of.model}</span>
        {of.max_output_tokens ? `, at most ${showCount(of.max_output_tokens)} tokens out` : ""}.
      </p>
      {of.price_history.length === 0 && <p class="soft">No price is known.</p>}
      {of.price_history.map((price) => (
        <PriceBox key={price.id} of={price} isNow={price.id === of.price?.id} />
      ))}
    </Dialog>
  );
}

const named = (rates: Record<string, string>): string =>
  Object.entries(rates)
    .map(([name, usd]) => `${name.replaceAll("_", " ")} $${usd}`)
    .join(", ");

function PriceBox({ of, isNow }: { of: Price; isNow: boolean }) {
  return (
    <div class="card">
      <div class="inside stack tight">
        <div class="row apart">
          <strong>from {showDay(of.effective_from)}</strong>
          <span class="row">
            {isNow && <Badge tone="accent">now</Badge>}
            <Badge>{of.authority}</Badge>
          </span>
        </div>
        <dl class="facts">
          {Object.entries(of.usd_per_million_tokens).map(([name, usd]) => (
            <div key={name}>
              <dt>{name.replaceAll("_", " ")}</dt>
              <dd>${usd}</dd>
            </div>
          ))}
          {of.tiers.map((tier) => (
            <div key={tier.above_input_tokens}>
              <dt>above {showCount(tier.above_input_tokens)}</dt>
              <dd>{named(tier.usd_per_million_tokens)}</dd>
            </div>
          ))}
        </dl>
        {of.source && (
          <p class="small">
            <a href={of.source} target="_blank" rel="noreferrer noopener">
              Source
            </a>
          </p>
        )}
      </div>
    </div>
  );
}
