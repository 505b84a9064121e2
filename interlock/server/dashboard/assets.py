"""Style sheets, modules and pictures, under addresses that change with what they hold."""

from __future__ import annotations

import hashlib
import mimetypes
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Response

from interlock.errors import NotFound

FOLDER = Path(__file__).parent / "static"
FOREVER = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@router.get("/ui/static/{version}/{name:path}")
async def static(version: str, name: str) -> Response:
    """Serve a file of the dashboard; an address of another version is not kept by browsers."""
    content = _files().get(name)
    if content is None:
        raise NotFound(f"The dashboard has no file {name!r}.")
    kept = FOREVER if version == _version() else "no-store"
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(content, media_type=kind, headers={"Cache-Control": kept})


def address_of(name: str) -> str:
    """Return where a file is served; one version names all of them, so that modules import each other by name."""
    return f"/ui/static/{_version()}/{name}"


@cache
def _files() -> dict[str, bytes]:
    found = sorted(each for each in FOLDER.rglob("*") if each.is_file())
    return {each.relative_to(FOLDER).as_posix(): each.read_bytes() for each in found}


@cache
def _version() -> str:
    digest = hashlib.sha256()
    for name, content in _files().items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]
