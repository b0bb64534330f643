import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

/** A table's frame: where it is wider than its place it scrolls, and then the keyboard can reach it. */
export function Scroll({ children, isTight }: { children: ComponentChildren; isTight?: boolean }) {
  const box = useRef<HTMLDivElement>(null);
  const [isScrolling, setScrolling] = useState(false);
  useEffect(() => {
    const place = box.current!;
    const sized = new ResizeObserver(() => setScrolling(place.scrollWidth > place.clientWidth));
    sized.observe(place);
    sized.observe(place.firstElementChild ?? place);
    return () => sized.disconnect();
  }, []);
  return (
    <div class={`table ${isTight ? "tight" : ""}`} ref={box} tabIndex={isScrolling ? 0 : undefined}>
      {children}
    </div>
  );
}
