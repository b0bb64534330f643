import { showWhole } from "../../core/format";
import { Badge } from "../../ui/states";
import type { CallView } from "./shared";

type Content = NonNullable<CallView["content"]>;

/** What was asked and answered, where the project keeps that and the reader may see it. */
export function ContentPart({ of }: { of: Content }) {
  return (
    <section class="stack tight">
      <h3>Question and answer</h3>
      {of.omitted_messages > 0 && (
        <p class="faint small">{showWhole(of.omitted_messages)} older messages are not kept.</p>
      )}
      {of.messages.map((each, index) => (
        <Said key={index} who={each.role} text={each.text} />
      ))}
      {of.answer !== null && <Said who="answer" text={of.answer} isAnswer />}
      {of.cut && <p class="faint small">Longer than what is kept of a call: the end of a text is missing.</p>}
    </section>
  );
}

function Said({ who, text, isAnswer = false }: { who: string; text: string; isAnswer?: boolean }) {
  return (
    <div class="stack tight">
      <div class="row">
        <Badge {...(isAnswer ? { tone: "accent" } : {})}>{who || "message"}</Badge>
      </div>
      <div class="code line">
        <pre>{text || "(empty)"}</pre>
      </div>
    </div>
  );
}
