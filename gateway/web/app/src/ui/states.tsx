import type { ComponentChildren } from "preact";
import type { Loaded } from "../core/loading";
import { Button } from "./button";
import { Icon, type IconName } from "./icon";

export function Empty({
  title,
  children,
  icon = "empty",
}: {
  title: string;
  children?: ComponentChildren;
  icon?: IconName;
}) {
  return (
    <div class="state">
      <Icon name={icon} />
      <strong>{title}</strong>
      {children}
    </div>
  );
}

export function Bones({ lines = 6 }: { lines?: number }) {
  return (
    <div class="bones" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, line) => (
        <i key={line} />
      ))}
    </div>
  );
}

interface AwaitProps<T> {
  of: Loaded<T>;
  lines?: number;
  children: (data: T) => ComponentChildren;
}

/** Shows what was loaded, and says it where it is on its way, failed, or the gateway is away. */
export function Await<T>({ of, lines, children }: AwaitProps<T>) {
  if (of.data !== undefined) return <>{children(of.data)}</>;
  if (of.error?.isOffline)
    return (
      <Empty icon="offline" title="The gateway does not answer">
        <p>Trying again every few seconds.</p>
      </Empty>
    );
  if (of.error)
    return (
      <Empty icon="warning" title={of.error.status === 403 ? "Not for your role" : "That did not work"}>
        <p role="alert">{of.error.message}</p>
        <Button onClick={of.reload}>Try again</Button>
      </Empty>
    );
  return <Bones {...(lines ? { lines } : {})} />;
}

export function Notice({
  tone = "",
  icon,
  children,
}: {
  tone?: "" | "good" | "bad" | "warn" | "accent";
  icon?: IconName;
  children: ComponentChildren;
}) {
  return (
    <div class={`notice ${tone}`} role={tone === "bad" ? "alert" : undefined}>
      {icon && <Icon name={icon} />}
      <div>{children}</div>
    </div>
  );
}

export function Badge({
  tone = "",
  children,
  title,
}: {
  tone?: "" | "good" | "bad" | "warn" | "accent";
  children: ComponentChildren;
  title?: string;
}) {
  return (
    <span class={`badge ${tone}`} title={title}>
      {children}
    </span>
  );
}
