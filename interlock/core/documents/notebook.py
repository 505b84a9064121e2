"""Read Jupyter notebooks: text as it is, code and its textual output in fences."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import BaseModel, ValidationError

from interlock.core.documents.limits import Limits
from interlock.core.documents.reading import Extracted, Unreadable, decode

_Text = str | list[str]


class _Output(BaseModel):
    text: _Text = ""
    data: dict[str, object] = {}


class _Cell(BaseModel):
    cell_type: str = "raw"
    source: _Text = ""
    outputs: list[_Output] = []


class _Language(BaseModel):
    name: str = ""


class _Metadata(BaseModel):
    title: str = ""
    language_info: _Language = _Language()


class _Notebook(BaseModel):
    cells: list[_Cell]
    metadata: _Metadata = _Metadata()


def read_notebook(data: bytes, _limits: Limits) -> Extracted:
    """Extract the cells in their order.

    Raises:
        Unreadable: it is no notebook of format 4.
    """
    try:
        notebook = _Notebook.model_validate(json.loads(decode(data)))
    except (json.JSONDecodeError, ValidationError, RecursionError) as error:
        raise Unreadable("it is not a Jupyter notebook of format 4") from error
    language = notebook.metadata.language_info.name
    parts = (part for cell in notebook.cells for part in _parts(cell, language))
    return Extracted(pages=("\n\n".join(parts),), title=notebook.metadata.title)


def _parts(cell: _Cell, language: str) -> Iterator[str]:
    source = _joined(cell.source)
    if not source.strip():
        return
    if cell.cell_type != "code":
        yield source
        return
    yield _fenced(source, language)
    for output in cell.outputs:
        if text := _joined(output.text) or _plain(output.data):
            yield _fenced(text, "")


def _plain(data: dict[str, object]) -> str:
    match data.get("text/plain"):
        case str(text):
            return text
        case list(lines):
            return "".join(line for line in lines if isinstance(line, str))
        case _:
            return ""


def _joined(text: _Text) -> str:
    return text if isinstance(text, str) else "".join(text)


def _fenced(text: str, language: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
