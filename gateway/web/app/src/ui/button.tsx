import type { ComponentChildren } from "preact";
import { Icon, type IconName } from "./icon";

export interface ButtonProps {
  children?: ComponentChildren;
  icon?: IconName;
  kind?: "main" | "plain" | "quiet" | "danger";
  isBusy?: boolean;
  isLarge?: boolean;
  disabled?: boolean;
  type?: "button" | "submit";
  /** Read out where there is no text. */
  label?: string;
  onClick?: () => void;
}

/** What does something. One main button a view. */
export function Button({
  children,
  icon,
  kind = "plain",
  isBusy,
  isLarge,
  disabled,
  type = "button",
  label,
  onClick,
}: ButtonProps) {
  return (
    <button
      type={type}
      class={`button ${kind === "plain" ? "" : kind} ${isLarge ? "large" : ""}`}
      disabled={disabled || isBusy}
      aria-busy={isBusy}
      aria-label={label}
      title={label}
      onClick={onClick}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}
