"""Values of the store's items: encrypted whole where there is a key, and opened when they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langgraph.store.base import Item, PutOp, Result

from interlock.errors import UsageError
from interlock.postgres.encryption import KeyRing, missing, opened_json, sealed_json
from interlock.postgres.plain import stored
from interlock.postgres.pool import Pool, connected, execute, fetch
from interlock.postgres.queries import load

SQL = load("items")

SEALED: Final = "__interlock_sealed__"
"""The one key of a value that is encrypted."""

AT_ONCE = 100
"""Items that are encrypted in one go."""

Json = dict[str, Any]  # an object
Row = Mapping[str, Any]  # JSON, or a row


def allowed(value: Json) -> Json:
    """Return a value that may be put; raises `UsageError` for one that looks as if it were encrypted."""
    if SEALED in value:
        raise UsageError(
            f"An item's value cannot have the key `{SEALED}`: what is encrypted is stored under it.",
            hint="Name it otherwise.",
        )
    return value


class Seal:
    """Closes and opens values.

    Args:
        pool: the connections.
        ring: the keys; None leaves values as they are, and refuses what is encrypted.
    """

    def __init__(self, pool: Pool, ring: KeyRing | None) -> None:
        self.ring = ring
        self._pool = pool
        self._begun = False

    async def look(self) -> None:
        """Learn whether this installation encrypts items by now; once it does, it goes on doing so."""
        if self.ring is None or self._begun:
            return
        async with connected(self._pool) as connection:
            self._begun = bool(await fetch(connection, SQL["sealing"], {}))

    def put(self, op: PutOp) -> PutOp:
        """Return what is stored of what is put, without vectors."""
        return op if op.value is None else op._replace(value=self.closed(op.value), index=False)

    def closed(self, value: Row) -> Json:
        """Return a value as it is stored."""
        if self.ring is None or not self._begun:
            return dict(value)
        return sealed_json(self.ring, value, SEALED)

    def opened(self, value: Json) -> Json:
        """Return a stored value as it was put; raises `KeyMissing`."""
        found: Json = opened_json(self.ring, value, SEALED)
        return found

    def result(self, result: Result) -> Result:
        """Return an item, or items, with their values opened; anything else as it is."""
        for item in result if isinstance(result, list) else [result]:
            if isinstance(item, Item):
                item.value = self.opened(item.value)
        return result

    async def check(self) -> None:
        """Raise `KeyMissing` unless each item can be opened."""
        async with connected(self._pool) as connection:
            for row in await fetch(connection, SQL["ciphers"], {}):
                if self.ring is None or not self.ring.has(row["cipher"]):
                    raise missing(row["cipher"])

    async def seal_all(self) -> int:
        """Encrypt from now on; encrypt what is not, or with an older key; return how many items that were.

        Raises:
            UsageError: no key is set.
            KeyMissing: a key of what is encrypted is not set.
        """
        if self.ring is None:
            raise UsageError(
                "INTERLOCK_ENCRYPTION_KEY is not set: there is nothing to encrypt items with.",
                hint="Set it here, and for every worker and server.",
            )
        await self.check()
        async with connected(self._pool) as connection:
            await execute(connection, SQL["begin_sealing"], {})
        self._begun, count = True, 0
        while sealed := await self._pass(self.ring):  # again, for what was put meanwhile
            count += sealed
        return count

    async def _pass(self, ring: KeyRing) -> int:
        last, count = {"prefix": "", "key": ""}, 0
        while rows := await self._unsealed(last, ring):
            async with connected(self._pool) as connection:
                count += await execute(connection, SQL["seal"], self._seals(rows))
            last = {name: rows[-1][name] for name in last}
        return count

    async def _unsealed(self, last: Row, ring: KeyRing) -> Sequence[Row]:
        values = {**last, "cipher": ring.name, "limit": AT_ONCE}
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL["unsealed"], values)

    def _seals(self, rows: Sequence[Row]) -> Json:  # SQL
        return {
            "prefixes": [row["prefix"] for row in rows],
            "keys": [row["key"] for row in rows],
            "marks": [row["mark"] for row in rows],
            "values": [stored(self.closed(self.opened(row["value"]))) for row in rows],
        }
