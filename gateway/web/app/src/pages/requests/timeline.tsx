import { showSpan } from "../../core/format";
import { Badge } from "../../ui/states";
import type { CallView } from "./shared";

/** Where the time went: the gateway's own share, and each try one after the other. */
export function Timeline({ of }: { of: CallView }) {
  const whole = Math.max(
    of.timing.latency_ms,
    of.timing.overhead_ms + of.attempts.reduce((sum, each) => sum + each.waited_ms, 0),
    1,
  );
  let begun = of.timing.overhead_ms;
  const tries = of.attempts.map((attempt) => {
    const start = begun;
    begun += attempt.waited_ms;
    return { ...attempt, start };
  });
  return (
    <section class="stack tight">
      <h3>Timeline</h3>
      <ol class="timeline">
        <li>
          <span class="cut">the gateway</span>
          <Span start={0} length={of.timing.overhead_ms} whole={whole} tone="before" />
          <span class="number soft">{showSpan(of.timing.overhead_ms)}</span>
        </li>
        {tries.map((each, index) => (
          <li key={index}>
            <span class="cut">
              {each.provider} {each.outcome !== "ok" && <Badge tone="bad">{each.outcome}</Badge>}
            </span>
            <Span
              start={each.start}
              length={each.waited_ms}
              whole={whole}
              tone={each.outcome === "ok" ? "spent" : "bad"}
            />
            <span class="number soft">{showSpan(each.waited_ms)}</span>
          </li>
        ))}
      </ol>
      {of.timing.first_byte_ms !== null && (
        <p class="faint small">First byte after {showSpan(of.timing.first_byte_ms)}.</p>
      )}
    </section>
  );
}

function Span({ start, length, whole, tone }: { start: number; length: number; whole: number; tone: string }) {
  return (
    <span class="span" aria-hidden="true">
      <i
        style={{
          left: `${(start / whole) * 100}%`,
          width: `max(2px, ${(length / whole) * 100}%)`,
          background: `var(--${tone})`,
        }}
      />
    </span>
  );
}
