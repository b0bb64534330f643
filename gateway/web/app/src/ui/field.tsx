import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface Labelled {
  label: string;
  hint?: ComponentChildren;
}

interface InputProps extends Labelled {
  value: string;
  onInput: (value: string) => void;
  name?: string;
  type?: "text" | "email" | "password" | "number" | "date" | "search";
  placeholder?: string;
  autocomplete?: string;
  inputMode?: "decimal";
  pattern?: string;
  required?: boolean;
  disabled?: boolean;
  min?: number;
  max?: number;
  /** Whole numbers alone where it is not given. */
  step?: number | "any";
  minLength?: number | undefined;
  maxLength?: number;
  isLarge?: boolean;
}

/** A line of text with its name above and what helps below. */
export function Input({ label, hint, isLarge, onInput, ...rest }: InputProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        class={`input ${isLarge ? "large" : ""}`}
        aria-describedby={hint ? `${id}-hint` : undefined}
        {...(rest as object)}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      {hint && (
        <span class="hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
    </div>
  );
}

interface SelectProps extends Labelled {
  value: string;
  options: readonly (readonly [value: string, text: string])[];
  onChange: (value: string) => void;
  /** The name is read out and not shown. */
  isBare?: boolean;
}

export function Select({ label, hint, value, options, onChange, isBare }: SelectProps) {
  const id = useId();
  const choice = (
    <select
      id={id}
      class="input"
      aria-label={isBare ? label : undefined}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    >
      {options.map(([option, text]) => (
        <option key={option} value={option} selected={option === value}>
          {text}
        </option>
      ))}
    </select>
  );
  if (isBare) return choice;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {choice}
      {hint && <span class="hint">{hint}</span>}
    </div>
  );
}

export function Check({
  label,
  hint,
  checked,
  onChange,
  disabled,
}: Labelled & { checked: boolean; disabled?: boolean; onChange: (value: boolean) => void }) {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={checked}
        disabled={disabled}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <span>
        {label}
        {hint && <span class="small faint"> {hint}</span>}
      </span>
    </label>
  );
}
