"""What every ledger does, on the one in memory and on the one in Postgres."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from interlock.core.ledger import Entry, Intention, Ledger, Refusal
from interlock.core.lineage import Lineage, Source
from interlock.errors import EffectTakenOver, ReplayDiverged
from tests.ledgers import Process, World, intention, site, world

WRONG = Refusal(kind="arguments", reason="The arguments are wrong.")


@pytest.fixture(params=["memory", "postgres"])
async def here(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A world of each kind."""
    url = request.getfixturevalue("database_url") if request.param == "postgres" else ""
    async with world(url) as opened:
        yield opened


@pytest.fixture
async def durable(database_url: str) -> AsyncIterator[World]:
    """A world in Postgres."""
    async with world(database_url) as opened:
        yield opened


@pytest.fixture
async def ledger(here: World) -> Ledger:
    """A fresh ledger of each kind."""
    return (await here.process()).ledger


async def written(ledger: Ledger, wish: Intention, approval: str = "") -> Entry:
    """Begin what is permitted."""
    return await ledger.begin(wish, permitted=True, approval=approval)


async def standing(ledger: Ledger, wish: Intention) -> str:
    """Say how it stands, and change nothing."""
    return (await ledger.begin(wish, permitted=False)).standing


async def doubtful(ledger: Ledger, wish: Intention) -> Entry:
    """Begin it, and lose the answer."""
    entry = await written(ledger, wish)
    await ledger.release(entry.key, entry.attempt, "lost", happened=None)
    return await ledger.begin(wish, permitted=False)


# --- standings ---


async def test_what_is_not_permitted_is_not_written(ledger: Ledger) -> None:
    """It stays new, however often somebody looks."""
    looks = [await ledger.begin(intention(), permitted=False) for _ in range(2)]

    assert [(each.standing, each.attempt) for each in looks] == [("new", 0)] * 2


async def test_intention_is_written_once(ledger: Ledger) -> None:
    """The first is told to act; the next one sees that somebody is at work."""
    first, second = await written(ledger, intention()), await written(ledger, intention())

    assert (first.standing, first.attempt, first.key) == ("new", 1, "k")
    assert (second.standing, second.attempt) == ("underway", 1)


@pytest.mark.parametrize(
    "result",
    [None, {"x": [1, "é", None]}, "nul \0 and \ud800 half", "text", 0, False, [], 1e300],
    ids=["null", "nested", "odd text", "text", "zero", "false", "empty", "large"],
)
async def test_result_is_given_back_as_it_was(ledger: Ledger, result: Any) -> None:
    """Whatever an act returned."""
    entry = await written(ledger, intention())
    await ledger.finish("k", entry.attempt, result)
    found = await ledger.begin(intention(), permitted=True)

    assert (found.standing, found.result) == ("done", result)


async def test_numbers_without_end_can_be_read_again(ledger: Ledger) -> None:
    """JSON has none; pydantic reads their names."""
    entry = await written(ledger, intention())
    await ledger.finish("k", entry.attempt, [math.inf, math.nan])
    found = await ledger.begin(intention(), permitted=False)

    largest, none = (float(each) for each in found.result)
    assert math.isinf(largest)
    assert math.isnan(none)


async def test_attempt_that_raised_is_in_doubt(ledger: Ledger) -> None:
    """With what it raised, and with what it was about to do."""
    wish = intention(edited_from="f" * 64, to="bob")
    found = await doubtful(ledger, wish)

    assert (found.standing, found.attempt, found.error) == ("in_doubt", 1, "lost")
    assert (found.request, found.arguments) == (wish.request, {"to": "bob"})


async def test_attempt_that_did_nothing_can_be_made_again(ledger: Ledger) -> None:
    """As the next attempt; it tells why the last one did nothing."""
    entry = await written(ledger, intention())
    await ledger.release("k", entry.attempt, "closed", happened=False)
    look = await ledger.begin(intention(), permitted=False)
    again = await written(ledger, intention())

    assert (look.standing, look.attempt, look.error) == ("new", 0, "closed")
    assert (again.standing, again.attempt) == ("new", 2)


async def test_waiting_ends_when_the_act_does(ledger: Ledger) -> None:
    """However it ends."""
    for number, happened in enumerate((True, False, None)):
        wish = intention(f"k{number}")
        entry = await written(ledger, wish)
        waiting = asyncio.create_task(ledger.wait(entry.key))
        await asyncio.sleep(0)
        assert not waiting.done()
        if happened:
            await ledger.finish(entry.key, entry.attempt, None)
        else:
            await ledger.release(entry.key, entry.attempt, "", happened=happened)
        await asyncio.wait_for(waiting, 10)


# --- fences ---


async def test_finish_of_an_attempt_that_was_taken_over_is_told(ledger: Ledger) -> None:
    """It may have happened twice: silence would hide it, and the new attempt's result stays."""
    await doubtful(ledger, intention())
    taken = await ledger.claim("k", 1)
    with pytest.raises(EffectTakenOver):
        await ledger.finish("k", 1, "old")
    await ledger.finish("k", taken.attempt, "new")
    with pytest.raises(EffectTakenOver):
        await ledger.finish("k", 1, "old")

    assert (await ledger.begin(intention(), permitted=False)).result == "new"


async def test_finish_can_be_repeated(ledger: Ledger) -> None:
    """The answer to the first may have been lost on its way."""
    await written(ledger, intention())
    await ledger.finish("k", 1, "once")
    await ledger.finish("k", 1, "once")

    assert await standing(ledger, intention()) == "done"


@pytest.mark.parametrize("happened", [True, False])
async def test_finish_after_somebody_settled_it_is_told(ledger: Ledger, happened: bool) -> None:
    """What was written down of an act in doubt is not overwritten by the act's late end."""
    await doubtful(ledger, intention())
    await ledger.settle("k", 1, happened=happened, result="said", by="Bob")
    with pytest.raises(EffectTakenOver):
        await ledger.finish("k", 1, "late")

    assert await standing(ledger, intention()) == ("done" if happened else "new")


@pytest.mark.parametrize("happened", [False, None])
async def test_release_of_an_attempt_that_was_taken_over_changes_nothing(
    ledger: Ledger, happened: bool | None
) -> None:
    """The new attempt is underway, whatever the old one says."""
    await doubtful(ledger, intention())
    await ledger.claim("k", 1)
    await ledger.release("k", 1, "late", happened=happened)

    found = await ledger.begin(intention(), permitted=False)
    assert (found.standing, found.attempt, found.error) == ("underway", 2, "")


async def test_release_of_what_is_done_changes_nothing(ledger: Ledger) -> None:
    """What happened has happened."""
    await written(ledger, intention())
    await ledger.finish("k", 1, "once")
    await ledger.release("k", 1, "late", happened=False)

    assert await standing(ledger, intention()) == "done"


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [("underway", "underway"), ("done", "done"), ("not_done", "new")],
)
async def test_only_what_is_in_doubt_can_be_claimed_or_settled(
    ledger: Ledger, prepare: str, expected: str
) -> None:
    """Who comes late is told how it stands."""
    await written(ledger, intention())
    if prepare == "done":
        await ledger.finish("k", 1, "once")
    if prepare == "not_done":
        await ledger.release("k", 1, "closed", happened=False)
    claimed = await ledger.claim("k", 1)
    settled = await ledger.settle("k", 1, happened=True, result="said", by="Bob")

    assert (claimed.standing, settled.standing) == (expected, expected)
    assert claimed.attempt == (0 if expected == "new" else 1)
    assert settled.result == ("once" if expected == "done" else None)


async def test_claim_and_settle_name_the_attempt_that_was_seen(ledger: Ledger) -> None:
    """An answer about an earlier attempt says nothing of the present one."""
    await doubtful(ledger, intention())
    second = await ledger.claim("k", 1)
    await ledger.release("k", second.attempt, "lost again", happened=None)
    late_claim = await ledger.claim("k", 1)
    late_word = await ledger.settle("k", 1, happened=True, result="said", by="Bob")

    assert (late_claim.standing, late_claim.attempt) == ("in_doubt", 2)
    assert (late_word.standing, late_word.error) == ("in_doubt", "lost again")


async def test_settled_act_is_done_or_can_be_begun_anew(ledger: Ledger) -> None:
    """With the result that was said; or as the next attempt."""
    await doubtful(ledger, intention("a"))
    await doubtful(ledger, intention("b"))
    happened = await ledger.settle("a", 1, happened=True, result={"id": 7}, by="Bob")
    did_not = await ledger.settle("b", 1, happened=False, result=None, by="probe")
    again = await written(ledger, intention("b"))

    assert (happened.standing, happened.result) == ("done", {"id": 7})
    assert (did_not.standing, did_not.attempt) == ("new", 0)
    assert (again.standing, again.attempt) == ("new", 2)


# --- races ---


async def test_of_many_who_begin_one_act_one_does(here: World) -> None:
    """From two processes at once; all others see it underway."""
    processes = [await here.process() for _ in range(2)]
    entries = await asyncio.gather(
        *(written(processes[number % 2].ledger, intention()) for number in range(20))
    )

    told = sorted((each.standing, each.attempt) for each in entries)
    assert told == [("new", 1), *[("underway", 1)] * 19]


async def test_of_many_who_begin_again_one_does(here: World) -> None:
    """Also where the first attempt did nothing."""
    processes = [await here.process() for _ in range(2)]
    await written(processes[0].ledger, intention())
    await processes[0].ledger.release("k", 1, "closed", happened=False)
    entries = await asyncio.gather(
        *(written(processes[number % 2].ledger, intention()) for number in range(20))
    )

    told = sorted((each.standing, each.attempt) for each in entries)
    assert told == [("new", 2), *[("underway", 2)] * 19]


async def test_of_many_who_claim_one_does(here: World) -> None:
    """An act in doubt is repeated once."""
    processes = [await here.process() for _ in range(2)]
    await doubtful(processes[0].ledger, intention())
    entries = await asyncio.gather(
        *(processes[number % 2].ledger.claim("k", 1) for number in range(20))
    )

    told = sorted((each.standing, each.attempt) for each in entries)
    assert told == [("new", 2), *[("underway", 2)] * 19]


async def drive(process: Process, performed: list[int], number: int) -> Any:  # the result
    """Act as `act` does: until it is done, here or elsewhere."""
    ledger = process.ledger
    entry = await ledger.begin(intention(), permitted=True)
    while entry.standing != "done":
        if entry.standing == "new" and entry.attempt:
            performed.append(number)
            await asyncio.sleep(0.01)
            await ledger.finish(entry.key, entry.attempt, f"by {number}")
            return f"by {number}"
        if entry.standing == "underway":
            await ledger.wait(entry.key)
        entry = await ledger.begin(intention(), permitted=True)
    return entry.result


async def test_of_two_processes_that_race_one_acts_and_both_have_its_result(here: World) -> None:
    """Exactly one performs; the other one waits."""
    performed: list[int] = []
    processes = [await here.process() for _ in range(2)]
    results = await asyncio.gather(
        *(drive(each, performed, number) for number, each in enumerate(processes * 3))
    )

    assert len(performed) == 1
    assert set(results) == {f"by {performed[0]}"}


# --- approvals ---


async def test_an_approval_permits_one_act(here: World, ledger: Ledger) -> None:
    """The second act that shows it is told that it is not its own; looking again changes nothing."""
    first, second = intention("a"), intention("b")
    await here.asked("q", replace(first, key=""), granted=True)
    told = [await written(ledger, each, "q") for each in (first, second, second)]

    assert [each.standing for each in told] == ["new", "unapproved", "unapproved"]
    assert [each.attempt for each in told] == [1, 0, 0]
    assert await standing(ledger, second) == "new"


async def test_an_approval_stays_with_an_act_that_did_nothing(here: World, ledger: Ledger) -> None:
    """It may be shown for the same act again, and for no other."""
    first, second = intention("a"), intention("b")
    await here.asked("q", replace(first, key=""), granted=True)
    await written(ledger, first, "q")
    await ledger.release("a", 1, "closed", happened=False)
    other, same = await written(ledger, second, "q"), await written(ledger, first, "q")

    assert (other.standing, same.standing, same.attempt) == ("unapproved", "new", 2)


async def test_of_two_acts_that_race_for_an_approval_one_is_permitted(here: World) -> None:
    """From two processes at once."""
    processes = [await here.process() for _ in range(2)]
    await here.asked("q", replace(intention(), key=""), granted=True)
    told = await asyncio.gather(
        *(
            written(processes[number % 2].ledger, intention(f"k{number}"), "q")
            for number in range(10)
        )
    )

    assert sorted(each.standing for each in told) == ["new", *["unapproved"] * 9]


# --- refusals and costs ---


async def test_refusals_are_counted_once_each(ledger: Ledger) -> None:
    """In the order in which they were noted first; told again, each keeps its number."""
    wishes = [intention(f"k{number}") for number in range(3)]
    counted = [await ledger.refuse(each, WRONG) for each in wishes]
    again = [await ledger.refuse(each, WRONG) for each in wishes]

    assert (counted, again) == ([1, 2, 3], [1, 2, 3])


async def test_refusals_are_of_one_agent_on_one_thread(ledger: Ledger) -> None:
    """Others start at one."""
    places = [site(), site(agent="mail"), site("u")]
    counted = [
        await ledger.refuse(intention(f"{number} {name}", place), WRONG)
        for number, place in enumerate(places)
        for name in "ab"
    ]

    assert counted == [1, 2, 1, 2, 1, 2]


async def test_what_is_permitted_breaks_the_row(ledger: Ledger) -> None:
    """And stays where it was when everything is told again."""
    counted = []
    for _ in range(2):
        for key in ("a", "b"):
            counted.append(await ledger.refuse(intention(key), WRONG))
        await written(ledger, intention("act"))
        counted.append(await ledger.refuse(intention("c"), WRONG))

    assert counted == [1, 2, 1, 0, 0, 1]


async def test_what_did_nothing_does_not_break_the_row(ledger: Ledger) -> None:
    """It was permitted, and came to nothing: that is a refusal like any other."""
    counted = []
    for key in ("a", "b"):
        entry = await written(ledger, intention(key))
        await ledger.release(key, entry.attempt, "closed", happened=False)
        counted.append(await ledger.refuse(intention(key), WRONG))

    assert counted == [1, 2]


# --- a process that dies, in Postgres ---


async def cut_locks(url: str) -> None:
    """Cut the connections that hold threads, and wait until they are gone."""
    alive = "select count(*) from pg_locks where locktype = 'advisory' and granted"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity "
            "where application_name = 'interlock threads' and datname = current_database()"
        )
        cursor = await connection.execute(alive)
        assert await cursor.fetchone() == (0,)


async def test_act_of_a_process_that_lost_its_connection_is_in_doubt(durable: World) -> None:
    """Others may take it on; the first one is told when it ends, and its result is not written."""
    first, second = [await durable.process() for _ in range(2)]
    await written(first.ledger, intention())
    before = await standing(second.ledger, intention())
    await cut_locks(durable.url)
    after = await second.ledger.begin(intention(), permitted=True)
    taken = await second.ledger.claim("k", after.attempt)
    with pytest.raises(EffectTakenOver, match=r"somebody else had taken it on\. Look whether"):
        await first.ledger.finish("k", 1, "old")
    await second.ledger.finish("k", taken.attempt, "new")

    assert (before, after.standing, taken.attempt) == ("underway", "in_doubt", 2)
    assert (await first.ledger.begin(intention(), permitted=False)).result == "new"


async def test_act_of_a_process_that_died_is_in_doubt(durable: World) -> None:
    """Its lock fell with it; a process that lives sees that at once, and nobody waits for a time to pass."""
    first, second = [await durable.process() for _ in range(2)]
    await written(first.ledger, intention())
    await first.die(durable.url)

    assert await standing(second.ledger, intention()) == "in_doubt"


async def test_act_that_ends_before_anybody_took_it_on_is_done(durable: World) -> None:
    """The connection was lost meanwhile, but nobody acted instead."""
    first, second = [await durable.process() for _ in range(2)]
    await written(first.ledger, intention())
    await cut_locks(durable.url)
    await first.ledger.finish("k", 1, "mine")

    assert (await second.ledger.begin(intention(), permitted=False)).result == "mine"


async def test_an_act_that_a_person_was_asked_about_waits_for_the_answer(durable: World) -> None:
    """Whatever the policy says by now; a withdrawn question counts no more."""
    ledger, wish = (await durable.process()).ledger, intention()
    await durable.asked("q", wish, granted=False)
    told = [await written(ledger, wish), await written(ledger, wish, "q")]
    looked = await standing(ledger, wish)
    await durable.asked("q", wish, granted=True)
    without, permitted = await written(ledger, wish), await written(ledger, wish, "q")

    assert [each.standing for each in told] == ["asked", "unapproved"]
    assert (looked, without.standing, permitted.standing) == ("asked", "asked", "new")


@pytest.mark.parametrize("changed", ["arguments", "thread", "unknown"])
async def test_an_approval_for_something_else_permits_nothing(durable: World, changed: str) -> None:
    """It is bound to its thread, its action and its arguments."""
    ledger = (await durable.process()).ledger
    await durable.asked("q", replace(intention(), key=""), granted=True)
    wishes = {
        "arguments": intention(to="eve"),
        "thread": intention("k", site("u")),
        "unknown": intention(),
    }
    shown = "made up" if changed == "unknown" else "q"

    assert (await written(ledger, wishes[changed], shown)).standing == "unapproved"


# --- forks and replays, in Postgres ---

AFTER = Lineage(sources=(Source(thread_id="t", since="c2"),))
REPLAY = replace(AFTER, recorded_only=True)


async def past(durable: World, *acts: tuple[str, str, str]) -> Ledger:
    """Let the parent have done these: checkpoint, to whom, result; empty: in doubt. Return its ledger."""
    ledger = (await durable.process()).ledger
    for number, (checkpoint, to, result) in enumerate(acts):
        wish = intention(f"parent {number}", site(checkpoint=checkpoint), to=to)
        await written(ledger, wish)
        if result:
            await ledger.finish(wish.key, 1, result)
        else:
            await ledger.release(wish.key, 1, "lost", happened=None)
    return ledger


def wish(key: str, to: str, **more: Any) -> Intention:
    """Return what a fork is about to do."""
    return intention(key, site("fork", checkpoint="c9"), to=to, **more)


async def test_fork_uses_what_its_parent_did_after_it_once_each(durable: World) -> None:
    """In the order in which it was done; what was done before the fork is not asked for again."""
    await past(
        durable,
        ("c1", "ann", "before"),
        ("c2", "ann", "one"),
        ("c3", "bob", "b"),
        ("c4", "ann", "two"),
    )
    fork = (await durable.process(AFTER)).ledger
    found = [await written(fork, wish(key, "ann")) for key in ("f1", "f2", "f3", "f1")]

    assert [each.standing for each in found] == ["done", "done", "new", "done"]
    assert [each.result for each in found] == ["one", "two", None, "one"]


async def test_branches_of_a_fork_use_different_acts(durable: World) -> None:
    """Side by side, and from two processes, each gets one of its own."""
    await past(durable, *(("c2", "ann", f"r{number}") for number in range(4)))
    forks = [(await durable.process(AFTER)).ledger for _ in range(2)]
    found = await asyncio.gather(
        *(written(forks[number % 2], wish(f"f{number}", "ann")) for number in range(6))
    )

    results = sorted(each.result for each in found if each.standing == "done")
    assert results == ["r0", "r1", "r2", "r3"]
    assert [each.standing for each in found].count("new") == 2


async def test_fork_looks_without_using_up_more_than_once(durable: World) -> None:
    """Looking and beginning are one and the same for what the parent did."""
    await past(durable, ("c2", "ann", "one"), ("c2", "ann", "two"))
    fork = (await durable.process(AFTER)).ledger
    looked = await fork.begin(wish("f1", "ann"), permitted=False)
    begun = await written(fork, wish("f1", "ann"))

    assert (looked.result, begun.result) == ("one", "one")


async def test_act_that_was_edited_is_found_by_what_the_agent_asked_for(durable: World) -> None:
    """The agent of the fork asks for the same as the parent's, and gets what a person made of it."""
    asked = intention("parent", site(checkpoint="c2"), to="ann")
    edited = intention("parent", site(checkpoint="c2"), to="bob", edited_from=asked.request)
    parent = (await durable.process()).ledger
    await written(parent, edited)
    await parent.finish("parent", 1, "to bob")
    for lineage in (AFTER, REPLAY):
        thread = f"fork {lineage.recorded_only}"
        place = site(thread, checkpoint="c9")
        process = await durable.process(lineage)
        found = await written(process.ledger, intention(thread, place, to="ann"))
        assert found.result == "to bob"


async def test_doubt_of_the_parent_is_a_doubt_of_the_fork(durable: World) -> None:
    """It is told of the parent's own effect; once that is settled, the fork uses it up."""
    parent = await past(durable, ("c2", "ann", ""))
    fork = (await durable.process(AFTER)).ledger
    found = await written(fork, wish("f1", "ann"))
    await parent.settle(found.key, found.attempt, happened=True, result="settled", by="Bob")
    then = [await written(fork, wish(key, "ann")) for key in ("f1", "f2")]

    assert (found.standing, found.key, found.error) == ("in_doubt", "parent 0", "lost")
    assert [each.standing for each in then] == ["done", "new"]


async def test_fork_is_told_what_its_parent_did_otherwise(durable: World) -> None:
    """The same action with other arguments, after the fork, and not used yet."""
    await past(durable, ("c1", "cid", "before"), ("c2", "bob", "b"), ("c3", "ann", "a"))
    fork = (await durable.process(AFTER)).ledger
    other = await fork.parallel(wish("f1", "eve"))
    await written(fork, wish("f2", "bob"))
    then = await fork.parallel(wish("f1", "eve"))

    assert other is not None
    assert then is not None
    assert (other.thread_id, other.key, other.arguments) == ("t", "parent 1", {"to": "bob"})
    assert then.arguments == {"to": "ann"}
    assert await fork.parallel(wish("f1", "eve", action="mail")) is None


async def test_grandchild_uses_what_each_ancestor_did_in_its_time(durable: World) -> None:
    """Its parent's own acts, and the grandparent's until the parent parted from it."""
    await past(durable, ("c2", "ann", "one"), ("c5", "ann", "too late"))
    lineage = Lineage(
        sources=(
            Source(thread_id="middle", since="c4"),
            Source(thread_id="t", since="c2", before="c4"),
        )
    )
    middle = (await durable.process()).ledger
    done = intention("m", site("middle", checkpoint="c6"), to="ann")
    await written(middle, done)
    await middle.finish("m", 1, "middle")
    fork = (await durable.process(lineage)).ledger
    found = [await written(fork, wish(key, "ann")) for key in ("f1", "f2", "f3")]

    assert [each.result for each in found] == ["one", "middle", None]


# --- replays, in Postgres ---


async def test_replay_uses_records_and_writes_no_intention(durable: World) -> None:
    """What was done is answered; what was refused is refused again, with the words of then."""
    parent = await past(durable, ("c2", "ann", "one"))
    refused = intention("refused", site(checkpoint="c3"), to="eve")
    await parent.refuse(refused, Refusal(kind="policy", reason="Eve is denied."))
    replay = (await durable.process(REPLAY)).ledger
    done = await written(replay, wish("f1", "ann"))
    again = await written(replay, wish("f2", "eve"))

    assert (done.result, again.standing) == ("one", "refused")
    assert again.refusal is not None
    assert (again.refusal.kind, again.refusal.reason) == ("policy", "Eve is denied.")
    assert await replay.refuse(wish("f2", "eve"), WRONG) == 1  # as then
    assert await replay.refuse(wish("f3", "ida"), WRONG) == 0
    async with await psycopg.AsyncConnection.connect(durable.url) as connection:
        cursor = await connection.execute("select reason from interlock.refusals")
        assert await cursor.fetchall() == [("Eve is denied.",)]


@pytest.mark.parametrize("permitted", [True, False])
async def test_replay_stops_at_what_was_not_recorded(durable: World, permitted: bool) -> None:
    """It says in which node, what was asked for, the nearest record, and what differs."""
    await past(durable, ("c2", "bob", "b"))
    replay = (await durable.process(REPLAY)).ledger
    with pytest.raises(ReplayDiverged, match="pay") as stopped:
        await replay.begin(wish("f1", "ann"), permitted=permitted)

    assert (stopped.value.node, stopped.value.kind) == ("pay", "action")
    assert stopped.value.requested == 'pay(to="ann")'
    assert stopped.value.recorded == 'pay(to="bob")'
    assert stopped.value.differs == ('to was "bob", now "ann"',)


async def test_replay_stops_where_nothing_like_it_was_recorded(durable: World) -> None:
    """There is nothing to compare it with."""
    await past(durable, ("c1", "ann", "before the fork"))
    replay = (await durable.process(REPLAY)).ledger
    with pytest.raises(ReplayDiverged, match="was not recorded, and no other pay") as stopped:
        await written(replay, wish("f1", "ann"))

    assert (stopped.value.recorded, stopped.value.differs) == ("", ())


async def test_replay_does_not_find_out_about_doubts(durable: World) -> None:
    """Nothing is done, probed or asked: there is no result, so the replay stops."""
    await past(durable, ("c2", "ann", ""))
    replay = (await durable.process(REPLAY)).ledger
    with pytest.raises(ReplayDiverged, match="it was begun, and what became of it is not known"):
        await written(replay, wish("f1", "ann"))
