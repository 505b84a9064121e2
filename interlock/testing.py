"""What tests of graphs need: a model that follows a script, and contexts without a database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, PrivateAttr

from interlock.core.context import OFFLINE_MODEL, Context, Ports
from interlock.core.corpus import Corpus
from interlock.core.corpus_memory import MemoryCorpus
from interlock.core.ledger import Entry, Intention, Ledger, MemoryLedger
from interlock.core.models import ChatModels, ModelSource

SCRIPTED = "scripted:model"


class ScriptBroken(AssertionError):
    """The model was called otherwise than its script says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One call that a scripted model expects, and what it does then.

    Attributes:
        reply: an object, sent as a call of the tool that the caller bound; text, sent as it is; or an
            exception, raised.
        schema: name of the schema that the caller must ask for; by default that of the reply.
        when: text that the prompt must contain, or a function that says whether this turn is meant.
            Turns of calls that run side by side need it, or which is answered by which is chance.
    """

    reply: BaseModel | str | BaseException
    schema: str = ""
    when: str | Callable[[str], bool] = ""

    @property
    def expected(self) -> str:
        """Name of the schema that the caller must ask for; empty means any."""
        return self.schema or (
            type(self.reply).__name__ if isinstance(self.reply, BaseModel) else ""
        )

    def fits(self, schema: str, prompt: str) -> bool:
        """Say whether this turn answers a call."""
        meant = self.when in prompt if isinstance(self.when, str) else self.when(prompt)
        return meant and self.expected in ("", schema)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that was made: the schema that was asked for, and all messages as text."""

    schema: str
    prompt: str


class ScriptedModel(BaseChatModel):
    """A chat model that answers each call with the first unused turn that fits it.

    A call that no turn fits raises `ScriptBroken`; so does `assert_done` while turns are unused.
    """

    _turns: list[Turn] = PrivateAttr(default_factory=list)
    _calls: list[Call] = PrivateAttr(default_factory=list)

    @classmethod
    def of(cls, *turns: Turn | BaseModel) -> ScriptedModel:
        """Return a model with this script; an object alone is a turn that replies with it."""
        model = cls()
        model.then(*turns)
        return model

    def then(self, *turns: Turn | BaseModel) -> None:
        """Add turns to the script."""
        self._turns += [each if isinstance(each, Turn) else Turn(reply=each) for each in turns]

    @property
    def calls(self) -> list[Call]:
        """The calls that were made, in their order."""
        return list(self._calls)

    @property
    def schemas(self) -> list[str]:
        """The names of the schemas that were asked for, in the order of the calls."""
        return [call.schema for call in self._calls]

    def prompts(self, schema: str) -> list[str]:
        """Return the prompts of the calls that asked for a schema."""
        return [call.prompt for call in self._calls if call.schema == schema]

    def assert_done(self) -> None:
        """Raise `ScriptBroken` when the script has turns that no call used."""
        if self._turns:
            left = ", ".join(turn.expected or "any" for turn in self._turns)
            raise ScriptBroken(f"{len(self._turns)} turns were never asked for: {left}")

    def bind_tools(
        self, tools: Sequence[Any], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:  # LangChain's signature
        """Remember which schema the caller asks for."""
        names = [str(convert_to_openai_tool(tool)["function"]["name"]) for tool in tools]
        return self.bind(schema=names[0] if names else "")

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _get_ls_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> Any:  # LangChain's hook for traces
        params: Mapping[str, Any] = super()._get_ls_params(stop=stop, **kwargs)
        return {**params, "ls_provider": "scripted", "ls_model_name": SCRIPTED}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,  # LangChain's signature
    ) -> ChatResult:
        return self._answer(messages, str(kwargs.get("schema", "")))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,  # LangChain's signature
    ) -> ChatResult:
        return self._answer(messages, str(kwargs.get("schema", "")))

    def _answer(self, messages: list[BaseMessage], schema: str) -> ChatResult:
        prompt = "\n\n".join(message.text for message in messages)
        self._calls.append(Call(schema=schema, prompt=prompt))
        turn = self._take(schema, prompt)
        if isinstance(turn.reply, BaseException):
            raise turn.reply
        message = _message(turn.reply, number=len(self._calls))
        message.usage_metadata = _usage(messages, message)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _take(self, schema: str, prompt: str) -> Turn:
        for place, turn in enumerate(self._turns):
            if turn.fits(schema, prompt):
                return self._turns.pop(place)
        left = ", ".join(turn.expected or "any" for turn in self._turns) or "nothing"
        raise ScriptBroken(
            f"Call {len(self._calls)} asked for {schema or 'text'}, but the script has {left} left."
            f"\n--- the prompt was:\n{prompt}"
        )


def _message(reply: BaseModel | str, *, number: int) -> AIMessage:
    if isinstance(reply, str):
        return AIMessage(content=reply)
    call = {
        "name": type(reply).__name__,
        "args": reply.model_dump(mode="json"),
        "id": f"call_{number}",
    }
    return AIMessage(content="", tool_calls=[call])


def _usage(messages: list[BaseMessage], answer: AIMessage) -> UsageMetadata:
    asked, said = count_tokens_approximately(messages), count_tokens_approximately([answer])
    return UsageMetadata(input_tokens=asked, output_tokens=said, total_tokens=asked + said)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneModel:
    """A model source with the same model for every name."""

    chat: BaseChatModel

    def model(self, name: str) -> BaseChatModel:
        """Return the model, whatever the name."""
        return self.chat


class RecordingLedger(MemoryLedger):
    """A ledger in memory that also tells which acts (reads are none) began, and which were done, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[Intention] = []
        self.done: list[str] = []

    async def begin(self, intention: Intention, *, permitted: bool, approval: str = "") -> Entry:
        """Tell how an intention stands, and note it when it is written."""
        entry = await super().begin(intention, permitted=permitted, approval=approval)
        if entry.standing == "new" and entry.attempt and not intention.reads:
            self.begun.append(intention)
        return entry

    async def finish(self, key: str, attempt: int, result: Any) -> None:  # JSON
        """Write the result of an act, and note the act."""
        await super().finish(key, attempt, result)
        self.done += [each.action for each in self.begun if each.key == key]


def make_context(
    *,
    model: BaseChatModel | str | None = None,
    models: ModelSource | None = None,
    corpus: Corpus | None = None,
    ledger: Ledger | None = None,
    prompts: Mapping[str, str] | None = None,
) -> Context:
    """Return a context in memory: a chat model plays every role, or a model's name is looked up.

    Args:
        model: a chat model, or `provider:name`; by default the offline model.
        models: where names are looked up, instead of the providers.
        corpus: by default an empty one in memory.
        ledger: by default an empty one in memory.
        prompts: pinned versions of prompts.
    """
    given = OneModel(chat=model) if isinstance(model, BaseChatModel) else None
    ports = Ports(
        models=models or given or ChatModels(),
        corpus=corpus or MemoryCorpus(),
        ledger=ledger or MemoryLedger(),
    )
    name = model if isinstance(model, str) else (SCRIPTED if given else OFFLINE_MODEL)
    return Context(model=name, ports=ports, prompts=prompts or {})
