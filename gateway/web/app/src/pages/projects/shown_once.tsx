import { Button } from "../../ui/button";
import { Code } from "../../ui/copy";
import { Dialog } from "../../ui/dialog";
import { Notice } from "../../ui/states";

/** A secret that nobody can read again. */
export function ShownOnce({
  title,
  secret,
  onClose,
  note,
}: {
  title: string;
  secret: string;
  onClose: () => void;
  note?: string;
}) {
  return (
    <Dialog title={title} onClose={onClose}>
      <p class="soft">{note ?? "This is its key. It is shown only now: keep it where you keep passwords."}</p>
      <Code text={secret} isLine />
      <Notice tone="warn" icon="warning">
        After you close this, the gateway itself cannot show it again.
      </Notice>
      <div class="ends">
        <Button kind="main" onClick={onClose}>
          I have it
        </Button>
      </div>
    </Dialog>
  );
}
