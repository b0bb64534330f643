"""A drive gives what a task gives, only sooner: each scenario runs in a task and in drives, on both event loops."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage import BOOM, CANCELLED, KINDS, PLACES, Boom, Stage, me, outcome


@pytest.fixture(params=KINDS)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A stage on which everything has ended, and nothing was complained of, when the test is over."""
    stage = Stage(request.param)
    yield stage
    assert (stage.running, stage.complaints) == (set(), [])
    stage.loop.close()


by_actors = pytest.mark.parametrize("actor", ["task", "drive"])
with_outcomes = pytest.mark.parametrize("error", [None, BOOM], ids=["result", "error"])
with_cancels = pytest.mark.parametrize("cancels", [False, True])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", [None, BOOM, CANCELLED], ids=["return", "raise", "cancel"])
def test_it_ends_as_its_coroutine_ends(stage: Stage, place: str, error: BaseException | None) -> None:
    """Outcome, current task and the set of the running are a task's, before and after a wait."""
    future = stage.future(place)

    async def path() -> None:
        for _ in range(2):
            stage.log.append(me() in stage.running)
            await stage.wait(place, future)
            stage.log.append(me())
        if error is not None:
            raise error

    subject = stage.start(path())
    if place in ("handoff", "future"):
        assert (outcome(subject), stage.running) == ("waits", {subject})
        stage.do(lambda: stage.bring(future))
    assert outcome(subject) == ("cancelled" if error is CANCELLED else error or "returned")
    assert stage.log == [True, subject, True, subject]
    assert stage.do(lambda: asyncio.current_task(stage.loop)) is None


@pytest.mark.parametrize("stage", KINDS[1:], indirect=True)
@with_outcomes
def test_a_drive_moves_inside_the_call_that_makes_it_or_hands_over(stage: Stage, error: Boom | None) -> None:
    """No turn of the loop passes, nothing is raised into the caller, and the current task is none there, as before."""
    first, last = stage.future("handoff"), stage.future("handoff")

    async def path() -> None:
        stage.log.append("begun")
        await stage.wait_for_all(first, last)

    def act() -> None:
        subject = stage.make(path())
        assert (stage.log, outcome(subject), asyncio.current_task()) == (["begun"], "waits", None)
        stage.bring(first)
        assert (stage.log, outcome(subject), asyncio.current_task()) == (["begun", 0], "waits", None)
        stage.bring(last, error)
        assert (outcome(subject), asyncio.current_task(), stage.running) == (error or "returned", None, set())

    stage.do(act)


@by_actors
@with_cancels
def test_what_is_made_while_another_runs_begins_at_a_later_turn(stage: Stage, actor: str, cancels: bool) -> None:
    """Two cannot run at once: who makes it stays the current one and goes on first, and may cancel it unbegun."""

    def make() -> None:
        before = me()
        subject = stage.make(stage.call(lambda: stage.log.append("begun")))
        stage.log.append((me() is before, cancels and subject.cancel()))

    stage.do(lambda: stage.make(stage.call(make), actor))
    assert stage.log == [(True, cancels), *([] if cancels else ["begun"])]


@by_actors
@with_outcomes
@with_cancels
@pytest.mark.parametrize("place", ["handoff", "future"])
def test_what_another_brings_is_taken_once_and_at_a_later_turn(
    stage: Stage, actor: str, error: Boom | None, cancels: bool, place: str
) -> None:
    """Who brings it stays the current one and goes on first; a cancellation meanwhile overtakes what was brought."""
    first, last = stage.future(place), stage.future(place)
    subject = stage.start(stage.wait_for_all(first, last))

    def bring() -> None:
        before = me()
        stage.bring(first, error)
        stage.log.append((me() is before, cancels and subject.cancel()))

    stage.do(lambda: stage.make(stage.call(bring), actor))
    ending = "cancelled" if cancels else error or "waits"
    assert (stage.log, outcome(subject)) == ([(True, cancels), *([0] if ending == "waits" else [])], ending)
    stage.do(lambda: stage.bring(last))
    assert outcome(subject) == ("returned" if ending == "waits" else ending)


def test_an_error_nobody_asks_for_is_only_logged(stage: Stage) -> None:
    """It is raised into no one, and does not vanish."""
    gc.freeze()
    futures = [stage.future("handoff")]
    kind = type(stage.start(stage.wait_for_all(*futures))).__name__
    stage.do(lambda: stage.bring(futures.pop(), Boom()))
    gc.collect()
    gc.unfreeze()
    assert stage.complaints == [f"{kind} exception was never retrieved"]
    stage.complaints.clear()


@pytest.mark.parametrize("place", PLACES[:3])
@pytest.mark.parametrize("afterwards", [None, *PLACES])
@pytest.mark.parametrize(("running", "waiting"), [(0, 1), (1, 0), (0, 2), (2, 0), (1, 1)])
def test_a_cancellation_is_raised_once_where_it_waits(
    stage: Stage, place: str, afterwards: str | None, running: int, waiting: int
) -> None:
    """However often it is cancelled, while it runs and while it waits; who swallows that may go on and wait again."""
    future, second = stage.future(place), stage.future(afterwards or "future")

    async def path() -> None:
        for _ in range(waiting):
            stage.loop.call_soon(me().cancel)
        stage.log.extend(me().cancel() for _ in range(running))
        try:
            await stage.wait(place, future)
        except asyncio.CancelledError:
            stage.log.append(me().cancelling())
            if afterwards is None:
                raise
            await stage.wait(afterwards, second)
            stage.log.extend(me().uncancel() for _ in range(3))

    subject = stage.start(path())
    assert future.cancelled() == (place != "yield")
    if afterwards in ("handoff", "future"):
        assert outcome(subject) == "waits"
        stage.do(lambda: stage.bring(second))
    counts = [] if afterwards is None else [running + waiting - 1, 0, 0]
    assert stage.log == [True] * running + [running + waiting, *counts]
    assert (outcome(subject), subject.cancel()) == ("cancelled" if afterwards is None else "returned", False)


async def be_late(stage: Stage) -> None:
    """Wait until it is too late."""
    for place in PLACES[:3]:
        try:
            async with asyncio.timeout(60), asyncio.timeout(0):
                await stage.wait(place, stage.future(place))
        except TimeoutError:
            stage.log.append(me().cancelling())


async def break_group(stage: Stage) -> None:
    """Have the child of a task group fail while its body waits for a handoff."""
    failing, other = stage.future("handoff"), stage.future("handoff")
    try:
        async with asyncio.TaskGroup() as tasks:
            for future in (failing, other):
                tasks.create_task(stage.wait_for_all(future))
            stage.loop.call_soon(stage.bring, failing, BOOM)
            await stage.future("handoff")
    except* Boom as errors:
        stage.log += [errors.exceptions, other.cancelled(), me().cancelling()]


async def cancel_group(stage: Stage) -> None:
    """Be cancelled while a child runs."""
    async with asyncio.TaskGroup() as tasks:
        child = tasks.create_task(stage.wait_for_all(stage.future("future")))
        child.add_done_callback(lambda child: stage.log.append(child.cancelled()))
        stage.loop.call_soon(me().cancel)


async def shield(stage: Stage) -> None:
    """Be cancelled while waiting for what is shielded."""
    handoff = stage.future("handoff")
    stage.loop.call_soon(me().cancel)
    try:
        await asyncio.shield(handoff)
    except asyncio.CancelledError:
        stage.log.append(handoff.cancelled())


async def gather(stage: Stage) -> None:
    """Gather what comes from everywhere: futures, another of its kind, a thread; then be cancelled at it."""
    futures = [stage.future("handoff"), stage.future("future"), stage.make(stage.wait_for_all())]
    for future in futures[:2]:
        stage.loop.call_soon(stage.bring, future)
    with ThreadPoolExecutor(1) as threads:
        thread = stage.loop.run_in_executor(threads, lambda: stage.log.append("thread"))
        stage.log.append(await asyncio.gather(*futures, thread))
    stage.loop.call_soon(me().cancel)
    await asyncio.gather(stage.future("handoff"), stage.make(stage.wait_for_all(stage.future("future"))))


@pytest.mark.parametrize(
    ("scene", "log", "ending"),
    [
        (be_late, [0, 0, 0], "returned"),
        (break_group, [(BOOM,), True, 0], "returned"),
        (cancel_group, [True], "cancelled"),
        (shield, [False], "returned"),
        (gather, ["thread", [None] * 4], "cancelled"),
    ],
)
def test_the_tools_of_asyncio_work_inside(
    stage: Stage, scene: Callable[[Stage], Coroutine[Any, Any, None]], log: list[object], ending: str
) -> None:
    """Timeouts, task groups, shields, threads."""
    subject = stage.start(scene(stage))
    stage.loop.run_until_complete(asyncio.wait([subject]))
    assert (stage.log, outcome(subject)) == (log, ending)


def test_others_wait_for_it_with_the_tools_of_asyncio(stage: Stage) -> None:
    """await, gather, wait, wait_for and shield take it from outside, and cancel it where they cancel a task."""
    handoffs = [stage.future("handoff") for _ in range(5)]
    subjects = [stage.start(stage.wait_for_all(handoff)) for handoff in handoffs]

    async def watch() -> None:
        stage.loop.call_soon(stage.bring, handoffs[0])
        stage.log.append(await subjects[0])
        stage.loop.call_soon(stage.bring, handoffs[1], BOOM)
        stage.log += await asyncio.gather(*subjects[:2], return_exceptions=True)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(subjects[2], 0)
        asyncio.shield(subjects[3]).cancel()
        subjects[4].cancel()
        stage.loop.call_soon(stage.bring, handoffs[3])
        stage.log.append(await asyncio.wait(stage.running))

    stage.loop.run_until_complete(watch())
    assert stage.log == [0, None, None, BOOM, 0, (set(subjects[3:]), set())]
    assert [outcome(subject) for subject in subjects] == ["returned", BOOM, "cancelled", "returned", "cancelled"]


class Step(NamedTuple):
    """One wait of a program, and what happens around it."""

    place: Literal["handoff", "future", "yield", "handed"]
    limit_s: Literal[None, 0, 60]
    brought_by: Literal["callback", "task", "drive"]
    has_error: bool
    # Cancellations while it runs, before the outcome and after.
    cancels: tuple[Literal[0, 1], Literal[0, 1, 2], Literal[0, 1]]
    reaction: Literal["raise", "swallow", "uncancel"]


async def play(stage: Stage, step: Step) -> None:
    """Take one step and note what it was like."""
    subject, future, (running, before, after) = me(), stage.future(step.place), step.cancels
    is_direct = step.brought_by == "callback" or step.place == "yield"

    def act() -> None:
        for _ in range(before):
            subject.cancel()
        stage.bring(future, Boom() if step.has_error and step.place != "yield" else None)
        # After a handoff from a callback a drive would be one step further than a task.
        for _ in range(0 if is_direct and step.place == "handoff" else after):
            subject.cancel()

    try:
        async with asyncio.timeout(step.limit_s):
            if step.place != "handed":
                stage.loop.call_soon(act) if is_direct else stage.make(stage.call(act), step.brought_by)
            for _ in range(running):
                subject.cancel()
            await stage.wait(step.place, future)
    except (Boom, TimeoutError) as error:
        stage.log.append(type(error))
    except asyncio.CancelledError:
        if step.reaction == "raise":
            raise
        stage.log.append(subject.uncancel() if step.reaction == "uncancel" else "swallowed")
    stage.log.append((me() is subject, subject.cancelling()))


@given(st.lists(st.builds(Step), max_size=6))
def test_any_program_runs_as_in_a_task(steps: list[Step]) -> None:
    """Random waits, outcomes and cancellations, at any moment, leave the same notes and the same end."""

    async def program(stage: Stage) -> None:
        for step in steps:
            await play(stage, step)

    notes: list[object] = []
    for kind in KINDS:
        stage = Stage(kind)
        subject = stage.start(program(stage))
        stage.loop.run_until_complete(asyncio.wait([subject]))
        notes.append(stage.do(lambda of=stage, end=subject: (of.log, outcome(end), of.running, of.complaints)))
        stage.loop.close()
    assert notes == [notes[0]] * len(KINDS)


def test_a_handoff_cancelled_from_outside_ends_the_wait(stage: Stage) -> None:
    """Whoever cancels the future cancels who waits for it."""
    handoff = stage.future("handoff")
    subject = stage.start(stage.wait_for_all(handoff))
    stage.do(handoff.cancel)
    assert outcome(subject) == "cancelled"


@pytest.mark.parametrize("ending", ["hand", "cancel"])
def test_two_may_wait_for_one_handoff(stage: Stage, ending: str) -> None:
    """Both get the outcome."""
    handoff = stage.future("handoff")
    subjects = [stage.start(stage.wait_for_all(handoff)) for _ in range(2)]
    stage.do(subjects[0].cancel if ending == "cancel" else lambda: stage.bring(handoff))
    assert [outcome(subject) for subject in subjects] == ["cancelled" if ending == "cancel" else "returned"] * 2


@pytest.mark.parametrize("place", PLACES)
def test_an_error_that_is_no_exception_ends_it_too(stage: Stage, place: str) -> None:
    """Whatever a coroutine raises is its outcome."""
    future = stage.future(place)

    async def path() -> None:
        await stage.wait(place, future)
        raise GeneratorExit

    subject = stage.start(path())
    stage.do(lambda: stage.bring(future))
    assert isinstance(outcome(subject), GeneratorExit)


def test_a_cancellation_just_before_the_end_counts(stage: Stage) -> None:
    """What cancels itself and returns is cancelled."""
    assert outcome(stage.start(stage.call(lambda: me().cancel()))) == "cancelled"


class Nonsense:
    """An awaitable that yields what nobody can wait for."""

    def __await__(self) -> Iterator[int]:
        yield 5


def test_nonsense_is_told_to_the_coroutine(stage: Stage) -> None:
    """Its finally blocks run."""

    async def path() -> None:
        try:
            await cast("Any", Nonsense())
        finally:
            stage.log.append("finally")

    assert isinstance(outcome(stage.start(path())), RuntimeError)
    assert stage.log == ["finally"]
