import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Failure } from "../core/api";
import { Button } from "./button";
import { Notice } from "./states";

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  /** At the window's side, for what is long. */
  isSide?: boolean;
}

/** The browser's own modal: focus stays inside, Escape closes, and what had the focus before has it again. */
export function Dialog({ title, onClose, children, isSide }: DialogProps) {
  const box = useRef<HTMLDialogElement>(null);
  // Closed while it is still in the page: only then does the browser give the focus back.
  useLayoutEffect(() => {
    const shown = box.current!;
    shown.showModal();
    return () => shown.close();
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape does what a click beside it does
    <dialog
      ref={box}
      class={`dialog ${isSide ? "drawer" : ""}`}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => event.target === box.current && onClose()}
    >
      <header>
        <h2>{title}</h2>
        <Button kind="quiet" icon="close" label="Close" onClick={onClose} />
      </header>
      <div class="inside stack">{children}</div>
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  children: ComponentChildren;
  verb: string;
  isBusy: boolean;
  error?: Failure | undefined;
  onConfirm: () => void;
  onClose: () => void;
}

/** Asks before what cannot be taken back. */
export function Confirm({ title, children, verb, isBusy, error, onConfirm, onClose }: ConfirmProps) {
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="soft">{children}</div>
      {error && <Notice tone="bad">{error.message}</Notice>}
      <div class="ends">
        <Button onClick={onClose}>Cancel</Button>
        <button type="button" class="button danger main" disabled={isBusy} onClick={onConfirm}>
          {verb}
        </button>
      </div>
    </Dialog>
  );
}
