"""Model calls against budgets: reserved before each, settled after it, in any node, subgraph, tool or middleware.

Handlers (`interlock.core.call_handlers`) tell it of every call before it is made, and what came of it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult

from interlock.core.allowance import Allowance, allowance_here
from interlock.core.budget import Amounts, Budgets, Facts, Scope, Unit
from interlock.core.call_handlers import AwaitingHandler, WaitingHandler, whole
from interlock.core.context import Around
from interlock.core.counting import tokens_in
from interlock.core.estimating import most_of, text_of
from interlock.core.prices import FREE, PriceTable, Tokens, builtin
from interlock.core.usage import model_of, thrown_away, was_recorded
from interlock.core.usage import tokens_of as told_tokens
from interlock.errors import RunCancelled, UsageError


@dataclass(slots=True, kw_only=True)
class Call:
    """A model call on its way.

    Attributes:
        scopes: whose budgets it is charged to.
        most: what it takes at most.
        waits: it is reserved when its answer turns out not to be recorded.
        held: whether it was reserved.
        synchronous: which face it was told to.
    """

    key: str
    scopes: tuple[Scope, ...]
    model: str
    most: Amounts
    unknown: tuple[Unit, ...] = ()
    waits: bool = False
    held: bool = False
    synchronous: bool = False


@dataclass(slots=True, kw_only=True)
class Meter:
    """Holds the model calls of one run to its budgets.

    Attributes:
        allowance: of the run's own graph; a call in a graph inside it may have a narrower one.
    """

    allowance: Allowance
    prices: PriceTable = field(default_factory=builtin)
    _calls: dict[UUID, Call] = field(default_factory=dict)
    _forgotten: set[UUID] = field(default_factory=set)  # they may not be made any more
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def handlers(self, around: Around | None = None) -> list[BaseCallbackHandler]:
        """Return the two handlers that a run's configuration needs.

        Args:
            around: what surrounds the run's nodes; None in plain LangGraph, where nothing is recorded.
        """
        return [WaitingHandler(self, around), AwaitingHandler(self, around)]

    # --- what happens to a call ---

    def begun(self, run_id: UUID, call: Call) -> bool:
        """Note a call that is about to be made; say whether it is to be reserved now."""
        if run_id in self._calls:  # LangChain may know a handler twice
            return False
        self._calls[run_id] = call
        return not call.waits

    async def admit(self, run_id: UUID) -> None:
        """Reserve a call whose answer is not recorded; raises `BudgetSpent`, and `RunCancelled` after `close`."""
        if (call := self._known(run_id)) and not call.held:
            await self.allowance.budgets.run(lambda budgets: self._reserved(run_id, call, budgets))

    def admit_now(self, run_id: UUID) -> None:
        """Do the same from synchronous code."""
        if (call := self._known(run_id)) and not call.held:
            self.allowance.budgets.wait(lambda budgets: self._reserved(run_id, call, budgets))

    async def lay_down(self, run_id: UUID) -> None:
        """Hold nothing for a call that waits long for its turn; `admit` holds it again."""
        if (call := self._calls.get(run_id)) and call.held:
            call.held = False
            await self._on(call, lambda budgets: budgets.release(call.key))

    async def stand_in(
        self,
        run_id: UUID,
        model: str,
        messages: Sequence[BaseMessage],
        parameters: Mapping[str, Any],  # LangChain's invocation parameters
    ) -> None:
        """Charge a call to another model, which answers in place of the one that was asked; raises `BudgetSpent`."""
        await self.lay_down(run_id)
        if (call := self._known(run_id)) is None:
            return
        call.most, call.unknown = most_of(model, messages, parameters, self.prices)
        call.model = model
        await self.hold(run_id)

    async def hold(self, run_id: UUID) -> None:
        """Reserve a call, on the face that it was told to; raises as `admit`."""
        if (call := self._known(run_id)) and not call.held:
            await self._on(call, lambda budgets: self._reserved(run_id, call, budgets))

    async def _on(self, call: Call, work: Callable[[Budgets], Coroutine[Any, Any, None]]) -> None:
        """Do some work on the budgets: a synchronous call never awaits."""
        if call.synchronous:
            self.allowance.budgets.wait(work)
        else:
            await self.allowance.budgets.run(work)

    async def give_back(self, run_ids: Sequence[UUID]) -> None:
        """Release the calls that were to be made beside one that was refused."""
        if run_ids:
            await self.allowance.budgets.run(lambda budgets: self._given_back(run_ids, budgets))

    def give_back_now(self, run_ids: Sequence[UUID]) -> None:
        """Do the same from synchronous code."""
        if run_ids:
            self.allowance.budgets.wait(lambda budgets: self._given_back(run_ids, budgets))

    def taken(self, run_id: UUID, *, synchronous: bool) -> Call | None:
        """Return a call that has ended, once, to the face that was told of its beginning."""
        call = self._calls.get(run_id)
        if call is None or call.synchronous is not synchronous:
            return None
        return self._calls.pop(run_id)

    def call(
        self, run_id: UUID, messages: Sequence[BaseMessage], kwargs: Mapping[str, Any]
    ) -> Call:  # LangChain's keyword arguments
        """Return what a call may take at most."""
        allowance = allowance_here() or self.allowance
        parameters = kwargs.get("invocation_params") or {}
        model = model_of(kwargs.get("metadata") or {})
        most, unknown = most_of(model, messages, parameters, self.prices)
        return Call(
            key=f"call {run_id}", scopes=allowance.all, model=model, most=most, unknown=unknown
        )

    async def settle(self, call: Call, response: LLMResult, budgets: Budgets) -> None:
        """Charge what a call took; nothing if it was answered from a record."""
        if was_recorded(response):
            if call.held:
                await budgets.release(call.key)
            return
        told = Tokens() if call.model.startswith(FREE) else told_tokens(response)
        tokens = self._counted(call, response) if told is None else told
        await self._settled(call, tokens, budgets, estimated=told is None)

    async def fail(
        self, call: Call, error: BaseException, response: LLMResult | None, budgets: Budgets
    ) -> None:
        """Charge an answer that was thrown away or broken off; of a cancelled call all that was held for it."""
        if tokens := thrown_away(error):
            await self._settled(call, tokens, budgets)
        elif not call.held:
            return
        elif not isinstance(error, Exception):
            await self._abandoned(call, budgets)
        elif response is not None and text_of(response):  # a stream broke: this much was paid for
            await self._settled(call, self._counted(call, response), budgets, estimated=True)
        else:
            await budgets.release(call.key)

    @property
    def is_open(self) -> bool:
        """Whether there are calls of which nobody told the end."""
        return bool(self._calls)

    async def close(self) -> None:
        """Charge in full the calls that nobody told the end of: a provider may bill them. Others are not made now."""
        if left := self._left():
            await self.allowance.budgets.run(lambda budgets: self._all_abandoned(left, budgets))

    def close_now(self) -> None:
        """Do the same from synchronous code."""
        if left := self._left():
            self.allowance.budgets.wait(lambda budgets: self._all_abandoned(left, budgets))

    # --- inside ---

    async def _reserved(self, run_id: UUID, call: Call, budgets: Budgets) -> None:
        try:
            if call.unknown:
                await _refuse_unknown(call, budgets)
            await budgets.reserve(call.scopes, call.most, key=call.key)
        except (
            asyncio.CancelledError
        ):  # it may have been taken, and is not told to this task any more
            self._calls.pop(run_id, None)
            await whole(budgets.release(call.key))
            raise
        except BaseException:
            self._calls.pop(run_id, None)
            raise
        if not self._held(run_id, call):
            await whole(budgets.release(call.key))
            raise _ended()

    def _known(self, run_id: UUID) -> Call | None:
        """Return a call on its way; raises `RunCancelled` when nobody would charge it any more.

        No cancellation reaches synchronous code: it may still ask for a turn when its run has ended.
        """
        with self._lock:
            if run_id in self._forgotten:
                raise _ended()
            return self._calls.get(run_id)

    def _held(self, run_id: UUID, call: Call) -> bool:
        """Note that a call was reserved; say whether somebody will still charge it."""
        with self._lock:
            call.held = run_id in self._calls
            return call.held

    async def _given_back(self, run_ids: Sequence[UUID], budgets: Budgets) -> None:
        """Release the calls that were to be made beside one that was refused."""
        for run_id in run_ids:
            if (call := self._calls.pop(run_id, None)) and call.held:
                await budgets.release(call.key)

    def _left(self) -> list[Call]:
        with self._lock:
            left = [call for call in self._calls.values() if call.held]
            self._forgotten.update(each for each, call in self._calls.items() if not call.held)
            self._calls.clear()
            return left

    async def _all_abandoned(self, calls: list[Call], budgets: Budgets) -> None:
        for call in calls:
            await self._abandoned(call, budgets)

    async def _settled(
        self, call: Call, tokens: Tokens, budgets: Budgets, *, estimated: bool = False
    ) -> None:
        amounts = Amounts(
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            usd=self.prices.cost(call.model, tokens) or 0.0,
            model_calls=1,
        )
        facts = Facts(model=call.model, prices=self.prices.version, estimated=estimated)
        await budgets.settle(call.scopes, amounts, key=call.key, facts=facts)

    async def _abandoned(self, call: Call, budgets: Budgets) -> None:
        facts = Facts(model=call.model, prices=self.prices.version, estimated=True)
        await budgets.settle(call.scopes, call.most, key=call.key, facts=facts)

    def _counted(self, call: Call, response: LLMResult) -> Tokens:
        """Return what we count where a provider tells nothing: not more than what was reserved."""
        said = tokens_in(text_of(response))
        most = call.most.output_tokens
        return Tokens(input=call.most.input_tokens, output=min(said, most) if most else said)


def _ended() -> RunCancelled:
    return RunCancelled("A model was not called: this attempt of the run has ended.")


async def _refuse_unknown(call: Call, budgets: Budgets) -> None:
    """Raise `UsageError` when something is limited of which nobody knows how much a call may take."""
    limited = await budgets.left(call.scopes)
    unit = next((each for each in call.unknown if each in limited), None)
    if unit is None:
        return
    if call.unknown == ("usd",):
        raise UsageError(
            f"The money that runs may spend is limited, and what {call.model} costs is not known.",
            hint="Name its price in a file (INTERLOCK_PRICES), or limit tokens instead of money.",
        )
    raise UsageError(
        f"{unit.replace('_', ' ').capitalize()} are limited, "
        f"and how long an answer of {call.model} may be is not known.",
        hint="Give the model max_tokens (INTERLOCK_MAX_OUTPUT_TOKENS), or its max_output in a file (INTERLOCK_PRICES).",
    )
