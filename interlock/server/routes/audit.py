"""`/audit`: who did what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from interlock.postgres.audit import Audited, AuditStore, Wanted
from interlock.server.scope import Governing

router = APIRouter(tags=["Access"])

Text = Annotated[str | None, Query(max_length=1000)]


class AuditRow(BaseModel):
    """What somebody did."""

    number: int
    at: datetime
    identity: str
    kind: str
    tenant: str
    act: str
    subject: str
    detail: dict[str, Any]  # JSON
    hash: str


@router.get("/audit")
async def audit(
    scope: Governing,
    identity: Text = None,
    act: Text = None,
    subject: Text = None,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[AuditRow]:
    """List who did what, the latest first; a tenant's administrator sees what was done on the tenant's behalf."""
    wanted = Wanted(identity=identity, act=act, subject=subject)
    store = AuditStore(scope.reader.pool)
    return [_row(each) for each in await store.latest(wanted, limit=limit, before=before)]


def _row(row: Audited) -> AuditRow:
    entry = row.entry
    return AuditRow(
        number=row.number,
        at=row.at,
        identity=entry.identity,
        kind=entry.kind,
        tenant=entry.tenant,
        act=entry.act,
        subject=entry.subject,
        detail=dict(entry.detail),
        hash=row.hash,
    )
