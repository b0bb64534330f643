import type { ComponentChildren } from "preact";

interface CardProps {
  title?: string;
  note?: ComponentChildren;
  aside?: ComponentChildren;
  children: ComponentChildren;
  /** The content goes to the card's edges, as a table does. */
  isFlush?: boolean;
}

/** What belongs together. */
export function Card({ title, note, aside, children, isFlush }: CardProps) {
  return (
    <section class="card" aria-label={title}>
      {title && (
        <header>
          <div>
            <h2>{title}</h2>
            {note && <p>{note}</p>}
          </div>
          {aside}
        </header>
      )}
      {isFlush ? children : <div class="inside">{children}</div>}
    </section>
  );
}
