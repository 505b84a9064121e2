"""Versions of a state's schema: bring stored values to the code's version, and say what does not fit it. Pure.

A checkpoint says in its metadata of which version it is; one that says nothing is of version 1. What newer code writes
at an older checkpoint, before there is a next one, stands behind a mark that says its version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from langgraph.checkpoint.base import ChannelVersions, Checkpoint
from langgraph.constants import START
from langgraph.types import Overwrite

from interlock.core.bounded import Declaration, Migration
from interlock.core.langgraph_names import is_key
from interlock.errors import InterlockError

KEY = "schema_version"
"""Of a checkpoint's metadata."""

MARK = "__schema_version__"
"""The channel of the mark that stands before what newer code wrote at an older checkpoint; no graph has it."""

Values = Mapping[str, Any]  # of any state
Write = tuple[str, str, Any]  # task, channel, value


class NoWay(InterlockError):
    """Stored values cannot be brought to the version of the code; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What is stored at a place of a thread.

    Attributes:
        writes: what tasks wrote since, in their order.
        changed: channels whose values are not those that are stored: the next checkpoint stores them.
    """

    checkpoint: Checkpoint
    writes: Sequence[Write] = ()
    changed: frozenset[str] = frozenset()


def version_of(declaration: Declaration | None) -> int:
    """Return the version of the schema that a graph declares."""
    return declaration.version if declaration else 1


def stored_version(metadata: Mapping[str, Any] | None) -> int:  # of a checkpoint
    """Return the version of which a checkpoint is stored."""
    return int((metadata or {}).get(KEY, 1))


def migrated(
    values: Values, declaration: Declaration | None, stored: int, *, until: int | None = None
) -> dict[str, Any]:
    """Return values of the code's version, or of `until`, made of a copy of those of a stored one; raises `NoWay`."""
    found: Any = dict(values)
    for version, migration in _way(declaration, stored):
        if until is None or version < until:
            found = _next(migration, found, version)
    return dict(found)


def migrated_update(
    values: Values, update: Values, declaration: Declaration | None, stored: int
) -> dict[str, Any]:
    """Return what a node's update of some keys is for the code's version: of other keys, perhaps, or of none.

    Migrations are of whole states. So the update is put into the state, and what the migration makes of it is what
    differs then; raises `NoWay`.
    """
    after = migrated({**values, **update}, declaration, stored)
    before = migrated(values, declaration, stored) if values else {}
    return {
        name: each
        for name, each in after.items()
        if name in update or name not in before or not _same(each, before[name])
    }


def brought_up(stored: Stored, declaration: Declaration | None, version: int) -> Stored:
    """Return what is stored as the code's version has it; raises `NoWay`."""
    checkpoint = stored.checkpoint
    values = {key: each for key, each in checkpoint["channel_values"].items() if is_key(key)}
    writes = list(_migrated_writes(stored.writes, values, declaration, version))
    if version == version_of(declaration):
        return replace(stored, writes=writes)
    ours = migrated(values, declaration, version) if values else {}
    return Stored(
        checkpoint=_replaced(checkpoint, values, ours, declaration, version),
        writes=writes,
        changed=frozenset(ours),
    )


def misfits(values: Values, known: Mapping[str, Callable[[Any], str]]) -> list[str]:
    """Return what of a state does not fit a schema; `known` says of each key what is wrong with a value, or nothing."""
    gone = [
        f"the state has no key {key!r} any more"
        for key in values
        if is_key(key) and key not in known
    ]
    wrong = [(key, known[key](values[key])) for key in values if key in known]
    return gone + [f"the value of {key} does not fit: {why}" for key, why in wrong if why]


def _way(declaration: Declaration | None, stored: int) -> Iterator[tuple[int, Migration]]:
    wanted = version_of(declaration)
    if stored > wanted:
        raise NoWay(
            f"it is stored in version {stored} of the state's schema, and this code has version {wanted}",
            hint="Deploy the code that has that version, or a later one.",
        )
    migrations = declaration.migrations if declaration else {}
    if missing := [str(each) for each in range(stored, wanted) if each not in migrations]:
        raise NoWay(
            f"it is stored in version {stored} of the state's schema, and the graph declares no migration from "
            f"version {', '.join(missing)}",
            hint="Declare it in the graph's `Declaration.migrations`.",
        )
    return ((each, migrations[each]) for each in range(stored, wanted))


def _next(migration: Migration, values: Values, version: int) -> Values:
    try:
        # A copy: restored values may be shared between the steps of a history.
        found = migration(deepcopy(dict(values)))
    except Exception as error:  # the application's own code
        raise NoWay(
            f"the migration from version {version} of the state's schema raised {type(error).__name__}: {error}",
            hint="Mend the migration, and try again; what is stored is unchanged.",
        ) from error
    if not isinstance(found, Mapping):
        raise NoWay(
            f"the migration from version {version} of the state's schema returned {type(found).__name__}, no values",
            hint="Return the values of the next version.",
        )
    return found


def _replaced(
    checkpoint: Checkpoint,
    old: Values,
    new: Values,
    declaration: Declaration | None,
    version: int,
) -> Checkpoint:
    inside = {key: each for key, each in checkpoint["channel_values"].items() if key not in old}
    if isinstance(inside.get(START), Mapping):  # the input, which no node has taken in yet
        inside[START] = migrated(inside[START], declaration, version)
    return {
        **checkpoint,
        "channel_values": {**inside, **new},
        "channel_versions": _versions(checkpoint["channel_versions"], old, new, version),
    }


def _versions(versions: ChannelVersions, old: Values, new: Values, version: int) -> ChannelVersions:
    """Return versions of channels that name each new value anew, so that the saver does not take it for one it has."""
    kept = {key: each for key, each in versions.items() if key not in old}
    latest = max(map(str, versions.values()), default="0").partition(".")[0]
    return {**kept, **dict.fromkeys(new, f"{latest}.migrated-from-{version}")}


def _migrated_writes(
    writes: Sequence[Write], values: Values, declaration: Declaration | None, version: int
) -> Iterator[Write]:
    marked: dict[str, int] = {}  # task -> of which version its writes are from here on
    for task, group in _groups(writes):
        if MARK in group:
            marked[task] = group[MARK]
        else:
            its = marked.get(task, version)
            found = _written(group, values, declaration, version, its)
            yield from ((task, channel, value) for channel, value in found.items())


def _groups(writes: Sequence[Write]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what tasks wrote, each together as far as it is one update of a state."""
    group: tuple[str, dict[str, Any]] = ("", {})
    for task, channel, value in writes:
        alone = not _is_plain(channel, value) or not all(
            _is_plain(*each) for each in group[1].items()
        )
        if alone or task != group[0] or channel in group[1]:
            if group[1]:
                yield group
            group = (task, {})
        group[1][channel] = value
    if group[1]:
        yield group


def _written(
    group: Values, values: Values, declaration: Declaration | None, version: int, its: int
) -> Values:
    """Return what writes of their own version, at a checkpoint of another, are for the code."""
    [(channel, value), *_] = group.items()
    if channel == START and isinstance(value, Mapping):
        return {channel: migrated(value, declaration, its)}
    if its == version_of(declaration) or not is_key(channel):
        return group
    around = migrated(values, declaration, version, until=its) if values else {}
    if isinstance(value, Overwrite):
        update = migrated_update(around, {channel: value.value}, declaration, its)
        return {key: Overwrite(each) for key, each in update.items()}
    return migrated_update(around, group, declaration, its)


def _is_plain(channel: str, value: Any) -> bool:
    """Say whether a write is of a state's key, and not past its reducer."""
    return is_key(channel) and not isinstance(value, Overwrite)


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # arrays and frames compare by element
        return one is other
