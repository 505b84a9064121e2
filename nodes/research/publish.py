"""Write the approved report to its folder: the one act of the research team."""

from __future__ import annotations

import asyncio
import os
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Any

from langgraph.runtime import Runtime
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.context import Context, spent
from interlock.core.gate import Decision
from interlock.core.usage import in_words
from interlock.errors import ActionRefused
from nodes.research.progress import tell
from nodes.research.report import Reported, report_data, report_sha256, to_html, to_markdown
from state.research import Draft, Published, Status

_NAME_LENGTH = 60


class PublishInput(Reported):
    """What is published, and what was agreed."""

    approval: Decision


class Ended(TypedDict):
    """The end of a run with a report."""

    published: Published
    status: Status
    message: str


def approved_sha256(state: Reported) -> str:
    """Return the SHA-256 of the report as it would be published now."""
    return report_sha256(report_data(state, model=_models(state)))


class Press(TypedDict):
    """What the action prints: a report without its final title, its SHA-256, and what it took to write."""

    report: Reported
    sha256: str
    spending: str


def _changed(state: Mapping[str, Any], arguments: Mapping[str, Any]) -> str | None:  # as declared
    if state["sha256"] == arguments["report_sha256"]:
        return None
    return "the report is not the one that was approved"


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "it is empty")
    return text


Text = Annotated[str, AfterValidator(_not_blank)]


@action(
    name="publish_report",
    touches="the files of the report in its folder",
    nodes=("publish",),
    reversible=True,
    risk="low",
    idempotent=True,
    preconditions=(_changed,),
)
async def publish_report(
    title: Text, folder: Text, report_sha256: str, *, state: Press
) -> Published:
    """Write the report as Markdown and as one HTML page; doing it again writes the same files."""
    report = state["report"]
    draft: Draft = {**report["draft"], "title": title}
    data = report_data(
        {**report, "draft": draft}, model=_models(report), spending=state["spending"]
    )
    stem = f"{slug(title)}-{report_sha256[:8]}"
    texts = {f"{stem}.md": to_markdown(data), f"{stem}.html": to_html(data)}
    markdown, html = await asyncio.to_thread(_write, folder, texts)
    return Published(markdown=markdown, html=html, sha256=report_sha256)


async def publish(state: PublishInput, runtime: Runtime[Context]) -> Ended:
    """Publish what was approved, with the arguments that were approved."""
    spending = in_words(await spent(runtime))
    press = Press(report=state, sha256=approved_sha256(state), spending=spending)
    approval = state["approval"]
    published: Published = await act(
        runtime, publish_report, state=press, approval=approval, **approval["arguments"]
    )
    tell(
        runtime,
        {
            "event": "published",
            "markdown": published["markdown"],
            "html": published["html"],
        },
    )
    message = f"Published as {published['markdown']} and {published['html']}."
    return {"published": published, "status": "published", "message": message}


def slug(title: str) -> str:
    """Return a title as a file name: lower case letters, digits and dashes, never empty."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:_NAME_LENGTH].strip("-") or "report"


def _models(state: Reported) -> str:
    return ", ".join(state["models"])


def _write(folder: str, texts: Mapping[str, str]) -> list[str]:
    """Write files into a folder that is made if it is missing, and return their absolute paths."""
    target = Path(folder).expanduser().absolute()
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            _replace(target / name, text)
    except OSError as error:
        raise ActionRefused(
            f"The report cannot be written to {target}: {error.strerror}.",
            hint="Make the folder writable and resume, or fork before `approve` with another.",
        ) from error
    return [str(target / name) for name in texts]


def _replace(path: Path, text: str) -> None:
    """Write a file so that readers see the old one or the whole new one."""
    temporary = path.with_name(f".{path.name}.{token_hex(4)}")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
