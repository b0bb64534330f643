import type { ComponentChildren } from "preact";
import type { Failure } from "../core/api";
import { Button } from "./button";
import { Notice } from "./states";

interface FormProps {
  verb: string;
  deed: { run: () => Promise<void>; isBusy: boolean; error: Failure | undefined };
  isReady?: boolean;
  children: ComponentChildren;
  onCancel?: () => void;
}

/** Fields, what went wrong below them, and the button that sends. */
export function Form({ verb, deed, isReady = true, children, onCancel }: FormProps) {
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void deed.run();
      }}
    >
      {children}
      {deed.error && <Notice tone="bad">{deed.error.message}</Notice>}
      <div class="ends row">
        {onCancel && <Button onClick={onCancel}>Cancel</Button>}
        <Button kind="main" type="submit" isBusy={deed.isBusy} disabled={!isReady}>
          {verb}
        </Button>
      </div>
    </form>
  );
}
