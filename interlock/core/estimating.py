"""What a model call takes at most, from what is known of it before it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from interlock.core.budget import Amounts, Unit
from interlock.core.counting import tokens_of
from interlock.core.prices import FREE, PriceTable, Tokens

CAPS = (
    "max_completion_tokens",
    "max_tokens",
    "max_output_tokens",
    "max_tokens_to_sample",
    "max_new_tokens",
    "num_predict",
)
"""How providers call the number of tokens that an answer may have at most."""

COPIES = ("n", "best_of", "candidate_count")
"""How they call the number of answers to one prompt."""


def most_of(
    model: str, messages: Sequence[BaseMessage], parameters: Mapping[str, Any], prices: PriceTable
) -> tuple[Amounts, tuple[Unit, ...]]:  # LangChain's invocation parameters
    """Return what a call takes at most, and the units of which nobody knows that."""
    if model.startswith(FREE):
        return Amounts(model_calls=1), ()
    price = prices.of(model)
    image = {"image": price.image} if price else {}
    asked = tokens_of(messages, parameters, **image)
    cap = _cap(parameters) or (price.max_output if price else None)
    tokens = Tokens(input=asked, output=(cap or 0) * _copies(parameters))
    usd = prices.most(model, tokens)
    unknown: tuple[Unit, ...] = () if cap else ("output_tokens", "tokens", "usd")
    if usd is None and "usd" not in unknown:
        unknown = ("usd",)
    return Amounts(
        input_tokens=asked, output_tokens=tokens.output, usd=usd or 0.0, model_calls=1
    ), unknown


def _cap(parameters: Mapping[str, Any]) -> int | None:
    """Return how many tokens an answer may have at most."""
    for each in (parameters, *_inner(parameters)):
        for name in CAPS:
            value = each.get(name)
            if isinstance(value, int) and value > 0:
                return value
    return None


def _copies(parameters: Mapping[str, Any]) -> int:
    given = [parameters.get(name) for name in COPIES]
    return max([1, *(each for each in given if isinstance(each, int))])


def _inner(parameters: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the places in which some clients keep parameters of their own."""
    names = ("model_kwargs", "generation_config", "options", "inferenceConfig")
    return [each for name in names if isinstance(each := parameters.get(name), Mapping)]


def text_of(response: LLMResult) -> str:
    """Return all that was answered, tool calls too."""
    return "".join(_said(each) for some in response.generations for each in some)


def _said(generation: Any) -> str:  # a generation, or a chunk of one
    if not isinstance(generation, ChatGeneration):
        return str(generation.text)
    message = generation.message
    calls = getattr(message, "tool_calls", None) or ""
    content = message.content if isinstance(message.content, str) else str(message.content)
    return f"{content}{calls}"
