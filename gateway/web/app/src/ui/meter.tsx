import { showShare } from "../core/format";

interface MeterProps {
  label: string;
  /** Shares of the whole. */
  spent: number;
  held?: number;
}

/** A bar of what is used and what is set aside; it warns from 80 % on and alarms when nothing is left. */
export function Meter({ label, spent, held = 0 }: MeterProps) {
  const used = spent + held;
  const tone = used >= 1 ? "bad" : used >= 0.8 ? "warn" : "";
  const bounded = Math.min(spent, 1);
  return (
    <div
      class={`meter ${tone}`}
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(Math.min(used, 1) * 100)}
      aria-valuetext={`${showShare(spent)} spent, ${showShare(held)} held`}
    >
      <i style={{ width: `${bounded * 100}%` }} />
      <i class="held" style={{ width: `${Math.min(held, 1 - bounded) * 100}%` }} />
    </div>
  );
}
