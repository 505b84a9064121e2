"""Which messages of a conversation may be folded: pure decisions over lists of messages.

An answer of a tool without its call, or a call without its answer, is refused by every provider. So messages are
folded in units: a message of the model with all its calls' answers is one, whatever stands between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.utils import count_tokens_approximately

from interlock.errors import UsageError

GAIN = 4
"""Messages are folded when they make up at least one part in so many of the threshold: each fold costs a model call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """When messages are folded, and what is left.

    Attributes:
        threshold: approximate tokens of the messages above which they are folded.
        keep: how many of the newest messages stay as they are.
        limit: tokens above which a fold that fails fails the run.
    """

    threshold: int
    keep: int
    limit: int

    def __post_init__(self) -> None:
        if self.threshold < 500 or self.keep < 1 or self.limit < self.threshold:
            raise UsageError(
                f"Messages cannot be folded with {self}.",
                hint="threshold is at least 500, keep at least 1, limit at least the threshold.",
            )

    @property
    def room(self) -> int:
        """Tokens that the manifest's notes may take."""
        return self.threshold // 4


def tokens_of(messages: Iterable[AnyMessage]) -> int:
    """Return about how many tokens messages take; the same for the same messages, on each machine."""
    return count_tokens_approximately(messages)


def to_fold(
    messages: Sequence[AnyMessage], bounds: Bounds, *, shown_as: str = ""
) -> list[AnyMessage]:
    """Return the messages to fold now, in their order; none below the threshold, or where it would gain little.

    Args:
        messages: the conversation.
        bounds: when to fold, and what to leave.
        shown_as: id of the message that shows the manifest; it is never folded.
    """
    if tokens_of(messages) <= bounds.threshold:
        return []
    found = foldable(messages, keep=bounds.keep, shown_as=shown_as)
    return found if tokens_of(found) * GAIN >= bounds.threshold else []


def foldable(messages: Sequence[AnyMessage], *, keep: int, shown_as: str = "") -> list[AnyMessage]:
    """Return what may be folded: all but the newest, system messages, the last human one, and open tool calls.

    An answer whose call is not there may always be folded: it makes the conversation invalid where it stands.
    """
    newest, last = len(messages) - keep, _last_human(messages, shown_as)
    places = [
        place
        for unit in units(messages)
        if not _must_stay([messages[each] for each in unit], shown_as)
        and last not in unit
        and (unit[-1] < newest or isinstance(messages[unit[0]], ToolMessage))
        for place in unit
    ]
    return [messages[place] for place in sorted(places)]


def units(messages: Sequence[AnyMessage]) -> list[list[int]]:
    """Return the places of messages that belong together, in the order of their first.

    Some providers use a call's id again in a later turn; an answer belongs to the nearest call before it.
    """
    found: list[list[int]] = []
    asked: dict[str, list[int]] = {}
    for place, message in enumerate(messages):
        unit = asked.get(message.tool_call_id) if isinstance(message, ToolMessage) else None
        if unit is None:
            unit = []
            found.append(unit)
        unit.append(place)
        asked |= dict.fromkeys(calls_of(message), unit)
    return found


def calls_of(message: AnyMessage) -> list[str]:
    """Return the ids of a message's tool calls, those with broken arguments too."""
    if not isinstance(message, AIMessage):
        return []
    return [each["id"] or "" for each in (*message.tool_calls, *message.invalid_tool_calls)]


def _must_stay(unit: Sequence[AnyMessage], shown_as: str) -> bool:
    first = unit[0]
    answered = {each.tool_call_id for each in unit if isinstance(each, ToolMessage)}
    return (
        isinstance(first, SystemMessage)
        or bool(shown_as and first.id == shown_as)
        or not answered.issuperset(calls_of(first))
    )


def _last_human(messages: Sequence[AnyMessage], shown_as: str) -> int:
    places = (
        place
        for place, each in enumerate(messages)
        if isinstance(each, HumanMessage) and not (shown_as and each.id == shown_as)
    )
    return max(places, default=-1)


def batches(messages: Sequence[AnyMessage], size: int) -> Iterator[list[AnyMessage]]:
    """Part messages for several questions to a model, of about `size` tokens each; units stay whole."""
    batch: list[AnyMessage] = []
    for unit in units(messages):
        more = [messages[each] for each in unit]
        if batch and tokens_of([*batch, *more]) > size:
            yield batch
            batch = []
        batch += more
    if batch:
        yield batch


def replacing(
    messages: Sequence[AnyMessage], folded: Sequence[AnyMessage], shown: HumanMessage
) -> list[AnyMessage | RemoveMessage]:
    """Return the update for `messages` that puts the manifest's message in the place of what was folded.

    It names each message, and takes the place of the first by taking over its id: messages that another branch adds
    in the same step stay, which `REMOVE_ALL_MESSAGES` would remove.
    """
    gone = [each for each in folded if each.id != shown.id]
    return [shown, *(RemoveMessage(id=str(each.id)) for each in gone)]


def after(
    messages: Sequence[AnyMessage], folded: Sequence[AnyMessage], shown: HumanMessage
) -> list[AnyMessage]:
    """Return the conversation as it will be."""
    gone = {each.id for each in folded} - {shown.id}
    return [shown if each.id == shown.id else each for each in messages if each.id not in gone]
