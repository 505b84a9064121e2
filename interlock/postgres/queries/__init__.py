"""SQL by name: each file holds statements, each headed by `-- name: what it does`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import LiteralString, cast

_HEAD = re.compile(r"^-- ([a-z][a-z0-9_]*): .+$", re.MULTILINE)


@cache
def load(name: str) -> Mapping[str, LiteralString]:
    """Return the statements of `name.sql`; what stands in files of the package is as literal as what stands in code."""
    text = (resources.files(__name__) / f"{name}.sql").read_text(encoding="utf-8")
    heads = list(_HEAD.finditer(text))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    statements = {
        head[1]: text[head.end() : end].strip().removesuffix(";")
        for head, end in zip(heads, ends, strict=True)
    }
    if len(statements) < len(heads):
        raise ValueError(f"{name}.sql names a statement twice")
    return cast("Mapping[str, LiteralString]", statements)
