"""Messages of the protocol, in its versions 0.3 and 1.0: what comes in is read in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import uuid4

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Json = dict[str, Any]

Id = Annotated[str, Field(min_length=1, max_length=200)]


class _Said(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class File(_Said):
    """A file as version 0.3 has it."""

    bytes: str | None = None
    uri: str | None = None
    mime_type: str | None = None
    name: str | None = None


class Part(_Said):
    """A piece of a message: a text, data, or a file, which version 1.0 has in the part itself."""

    text: str | None = None
    data: Any = None  # JSON
    file: File | None = None
    raw: str | None = None
    url: str | None = None
    media_type: str | None = None
    filename: str | None = None

    @property
    def block(self) -> Json:
        """Return it as a block of a chat message's content."""
        if self.text is not None:
            return {"type": "text", "text": self.text}
        known = self.file or File(
            bytes=self.raw, uri=self.url, mime_type=self.media_type, name=self.filename
        )
        given = {"base64": known.bytes, "url": known.uri, "mime_type": known.mime_type}
        return {"type": "file", **{key: each for key, each in given.items() if each is not None}}


class Message(_Said):
    """What another agent, or its user, says."""

    message_id: Id = Field(default_factory=lambda: str(uuid4()))
    context_id: Id | None = None
    task_id: Id | None = None
    parts: Annotated[list[Part], Field(min_length=1, max_length=1000)]

    @property
    def data(self) -> list[Any]:  # JSON
        """Return the data among the parts."""
        return [each.data for each in self.parts if each.data is not None]

    @property
    def content(self) -> str | list[Json] | None:
        """Return what is no data, as the content of a chat message; None for nothing."""
        parts = [each for each in self.parts if each.data is None]
        if all(each.text is not None for each in parts):
            return "\n".join(str(each.text) for each in parts) or None
        return [each.block for each in parts]

    @property
    def answer(self) -> Any:  # whatever a graph's interrupt expects
        """Return it as the answer to a question: data as it is, else the text."""
        return self.data[0] if self.data else self.content


class Configuration(_Said):
    """How a message is answered."""

    blocking: bool | None = None  # 0.3
    return_immediately: bool = False  # 1.0
    history_length: Annotated[int, Field(ge=0)] | None = None

    @property
    def waits(self) -> bool:
        """Whether the answer is what came of it."""
        return self.blocking is not False and not self.return_immediately


class Sent(_Said):
    """The parameters of a message."""

    message: Message
    configuration: Configuration = Configuration()
    metadata: Json = {}


class Named(_Said):
    """The parameters that name a task."""

    id: Id = Field(validation_alias=AliasChoices("id", "taskId"))
    history_length: Annotated[int, Field(ge=0)] | None = None


def of_state(output: Any) -> Sequence[Mapping[str, Any]]:  # of a graph, as JSON
    """Return the chat messages that a graph's output has; none for a graph without."""
    told = output.get("messages") if isinstance(output, Mapping) else None
    known = told if isinstance(told, list) else []
    return [each for each in known if isinstance(each, Mapping)]


def text_of(message: Mapping[str, Any]) -> str:  # JSON of a chat message
    """Return the text of a chat message."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "".join(
        str(each.get("text") or "") if isinstance(each, Mapping) else str(each) for each in blocks
    )
