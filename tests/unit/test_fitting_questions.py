from interlock.core.actions import action
from interlock.core.doubt import DID_IT_HAPPEN
from interlock.fitting import question_problems


@action(name="fitting_pay", touches="nothing")
async def pay(amount: float) -> str:
    """Pay."""
    return "paid"


def doubted(name: str, arguments: dict[str, object]) -> dict[str, object]:
    """Return what a question about an effect in doubt carries, where `pay` cannot return nothing."""
    carried = {"effect": "e1", "attempt": 1, "action": name, "arguments": arguments}
    return {
        "action_requests": [{"name": DID_IT_HAPPEN, "args": carried}],
        "question": {"id": "q1", "kind": "in_doubt", "digest": "d1", "effect": "e1"},
    }


def texts(payload: dict[str, object]) -> list[str]:
    return [each.text for each in question_problems(payload)]


def test_a_question_about_an_act_in_doubt_stands_while_its_action_does() -> None:
    """What became of it is the answer's to say; it is missing from the question and breaks nothing."""
    assert texts(doubted("fitting_pay", {"amount": 2.0})) == []


def test_a_question_about_an_act_in_doubt_falls_with_its_action() -> None:
    """Nobody could check what a person says that it returned."""
    (gone,) = texts(doubted("fitting_gone", {}))

    assert "'fitting_gone', which is no longer declared" in gone


def test_an_act_in_doubt_whose_action_takes_other_arguments_is_told() -> None:
    """It could not be done again."""
    (changed,) = texts(doubted("fitting_pay", {"sum": 2.0}))

    assert "'fitting_pay', which no longer takes what was asked" in changed
