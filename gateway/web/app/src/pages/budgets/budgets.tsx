import { useState } from "preact/hooks";
import { call } from "../../core/api";
import { showDay, showShare, showShortMoment } from "../../core/format";
import { useDeed, useLoaded } from "../../core/loading";
import { toNumber } from "../../core/money";
import { useMay } from "../../core/session";
import { PageHead } from "../../frame";
import { Button } from "../../ui/button";
import { Card } from "../../ui/card";
import { Confirm } from "../../ui/dialog";
import { Amount } from "../../ui/figures";
import { Meter } from "../../ui/meter";
import { Await, Badge, Empty } from "../../ui/states";
import { NewBudget } from "./new_budget";
import { PastWindows } from "./past_windows";
import { type Budget, useScopeName, WINDOWS } from "./shared";

const REFRESH_MS = 10_000;

/** What may be spent, what was, and what is set aside for calls under way. */
export function Budgets() {
  const budgets = useLoaded("budgets", (signal) => call("GET /api/budgets", { signal }), REFRESH_MS);
  const [isMaking, setMaking] = useState(false);
  const [doomed, setDoomed] = useState<Budget | null>(null);
  const may = useMay("admin");
  const reload = () => {
    setMaking(false);
    setDoomed(null);
    budgets.reload();
  };
  return (
    <>
      <PageHead
        title="Budgets and limits"
        aside={
          may && (
            <Button kind="main" icon="plus" onClick={() => setMaking(true)}>
              New budget
            </Button>
          )
        }
      >
        The most that a call may cost is set aside before it is sent, so a budget that blocks is never passed.
      </PageHead>
      <Await of={budgets}>
        {(data) =>
          data.budgets.length === 0 ? (
            <Card>
              <Empty title="No budget yet">
                <p>
                  A budget on the account, a project, a key or a tag refuses what goes beyond it, or only tells you.
                </p>
              </Empty>
            </Card>
          ) : (
            <div class="split">
              {data.budgets.map((budget) => (
                <BudgetCard key={budget.id} of={budget} {...(may ? { onDelete: () => setDoomed(budget) } : {})} />
              ))}
            </div>
          )
        }
      </Await>
      {isMaking && <NewBudget onClose={reload} />}
      {doomed && <DeleteBudget of={doomed} onClose={reload} />}
    </>
  );
}

export function BudgetCard({ of, onDelete }: { of: Budget; onDelete?: () => void }) {
  const nameOf = useScopeName([of]);
  const limit = toNumber(of.limit_usd) || 1e-12;
  const [spent, held] = [toNumber(of.spent_usd) / limit, toNumber(of.held_usd) / limit];
  return (
    <section class="card" aria-label={`Budget of ${nameOf(of)}`}>
      <div class="inside stack tight">
        <div class="row apart">
          <h2 class="cut">{nameOf(of)}</h2>
          <span class="row">
            <Badge tone={of.action === "block" ? "accent" : ""}>
              {of.action === "block" ? "blocks" : "only tells"}
            </Badge>
            {onDelete && <Button kind="quiet" icon="trash" label="Delete this budget" onClick={onDelete} />}
          </span>
        </div>
        <p class="soft">
          <Amount usd={of.limit_usd} /> {WINDOWS[of.window]}
        </p>
        <Meter label={`Used of the budget of ${nameOf(of)}`} spent={spent} held={held} />
        <div class="row apart small soft">
          <span>
            <Amount usd={of.spent_usd} /> spent
            {held > 0 && (
              <>
                , <Amount usd={of.held_usd} /> held
              </>
            )}
          </span>
          <span>
            {spent + held >= 1 ? "nothing left" : `${showShare(1 - spent - held)} left`}
            {of.resets_at && ` · starts anew ${(of.window === "hour" ? showShortMoment : showDay)(of.resets_at)}`}
          </span>
        </div>
        {of.window !== "total" && <PastOf of={of} />}
      </div>
    </section>
  );
}

/** What the budget would have done in the windows before this one, once somebody wants to know. */
function PastOf({ of }: { of: Budget }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary class="small">Before this {of.window}</summary>
      {isOpen && (
        <PastWindows
          scope={of.scope}
          scopeId={of.scope_id}
          installation={of.scope === "tag" && of.installation}
          window={of.window}
          limit={String(of.limit_usd)}
        />
      )}
    </details>
  );
}

function DeleteBudget({ of, onClose }: { of: Budget; onClose: () => void }) {
  const deed = useDeed(async () => {
    await call("DELETE /api/budgets/{budget_id}", { path: { budget_id: of.id } });
    onClose();
  });
  return (
    <Confirm
      title="Delete this budget?"
      verb="Delete budget"
      isBusy={deed.isBusy}
      error={deed.error}
      onConfirm={() => void deed.run()}
      onClose={onClose}
    >
      It refuses no more calls from now on. What was spent stays in the ledger.
    </Confirm>
  );
}
