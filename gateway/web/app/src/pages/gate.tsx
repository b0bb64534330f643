import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { Logo } from "../ui/icon";

/** The frame of the pages that a stranger sees. */
export function Gate({
  title,
  note,
  children,
  after,
  isBroad,
}: {
  title: string;
  note?: ComponentChildren;
  children: ComponentChildren;
  after?: ComponentChildren;
  isBroad?: boolean;
}) {
  useEffect(() => {
    document.title = `${title} · WatchLLM`;
  }, [title]);
  return (
    <div class="gate">
      <main class={isBroad ? "broad" : ""}>
        <a class="brand" href="/">
          <Logo />
          WatchLLM
        </a>
        <div class="stack tight">
          <h1>{title}</h1>
          {note && <p class="soft">{note}</p>}
        </div>
        {children}
        {after && <p class="soft">{after}</p>}
      </main>
    </div>
  );
}
