"""What counts as a difference between the ends of two threads."""

from __future__ import annotations

from langchain_core.messages import HumanMessage, ToolMessage

from interlock.differences import changed

ONE, OTHER = "1f24015e-1db2-4adc-816f-132cc8640646", "5f1aaf40-9d25-4d0e-8e01-20d82e878a25"


def test_ids_that_langgraph_makes_up_for_messages_are_no_difference() -> None:
    """Each run makes up others: with them no replay of an agent would come to the same end."""
    then = [HumanMessage("Hello", id=ONE), ToolMessage("done", tool_call_id="c1", id=OTHER)]
    now = [HumanMessage("Hello", id=OTHER), ToolMessage("done", tool_call_id="c1", id=ONE)]

    assert (
        changed({"messages": then, "box": {"kept": then}}, {"messages": now, "box": {"kept": now}})
        == {}
    )


def test_what_a_message_says_and_an_id_of_its_author_are_differences() -> None:
    """Only what is made up is left out."""
    said = changed(
        {"messages": [HumanMessage("a", id=ONE)]}, {"messages": [HumanMessage("b", id=ONE)]}
    )
    named = changed(
        {"messages": [HumanMessage("a", id="x")]}, {"messages": [HumanMessage("a", id="y")]}
    )

    assert (list(said), list(named)) == (["messages"], ["messages"])
