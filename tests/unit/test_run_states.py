"""How a run may change: the table in the code and the one in the database are the same."""

from __future__ import annotations

import re

import pytest

from interlock.core.run_states import ENDED, STATUSES, TRANSITIONS
from interlock.postgres.migrations import scripts

PAIR = re.compile(r"\('([a-z]+)', '([a-z]+)'\)")


def test_the_database_permits_what_the_code_permits() -> None:
    """Each pair stands in both tables."""
    script = dict(scripts())["0014_queue"]
    inserted = script.split("insert into interlock.run_transitions")[1].split(";")[0]

    assert set(PAIR.findall(inserted)) == {
        (before, after) for before, following in TRANSITIONS.items() for after in following
    }


def test_the_usual_ways_that_the_trigger_lets_pass_are_permitted() -> None:
    """What is not looked up when a run changes is what the table would permit."""
    trigger = (
        dict(scripts())["0045_flushing"].split("create trigger runs_transitions")[1].split(";")[0]
    )
    usual = re.findall(r"\(old\.status <> '([a-z]+)' or new\.status <> '([a-z]+)'\)", trigger)

    assert usual == [("queued", "running"), ("running", "succeeded")]
    assert all(after in TRANSITIONS[before] for before, after in usual)


@pytest.mark.parametrize("status", STATUSES)
def test_a_run_that_was_cancelled_or_succeeded_stays_so(status: str) -> None:
    """Every other status leads somewhere, and only to one that exists."""
    final = {"succeeded", "cancelled"}

    assert (not TRANSITIONS[status]) == (status in final)  # type: ignore[index]  # it is one of the literals
    assert TRANSITIONS[status] <= set(STATUSES)  # type: ignore[index]  # same
    assert final <= ENDED
