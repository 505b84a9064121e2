"""From values to rows: small ones as LangGraph stores them, the rest as references to content."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from interlock.core.identity import told
from interlock.postgres.checkpointer import format as form
from interlock.postgres.checkpointer import pieces
from interlock.postgres.checkpointer.knowledge import Channel, ThreadKnowledge
from interlock.postgres.checkpointer.rows import FALSE, TRUE, Blob, Put, Rows, Write
from interlock.postgres.checkpointer.sealing import Seal
from interlock.postgres.checkpointer.segments import Cutter, Item, Layout, Link, Token, skeleton
from interlock.postgres.plain import clean

INLINE_CHARACTERS = 2_000
"""Longer strings leave the checkpoint's own row, which is written anew at each step."""

SMALL_ITEM = 64
"""Bytes up to which a list's item stands in references and segments itself."""

SMALL_VALUE = 1_024
"""Bytes up to which a value stands in its row, as LangGraph stores it."""

FEW_ITEMS = 4

PACKED_ITEM = 2_048
"""Bytes up to which a list's item stands in its segment itself, once the segment is complete."""


@dataclass(slots=True)  # not frozen: one is made for each request, and that takes twice as long
class Encoder:
    """Makes the rows of one request.

    Attributes:
        seal: serializes, names and hides.
        known: what is stored of the thread; nothing of that is sent again.
        rows: the rows; what is encoded adds its content.
    """

    seal: Seal
    known: ThreadKnowledge
    rows: Rows

    def channel(self, channel: Channel, value: Any) -> tuple[str, bytes]:  # of a state key
        """Return type and bytes of a channel's value, which is cut like the one before."""
        if isinstance(value, _DeltaSnapshot):
            return self._value(channel, value.value, snapshot=True)
        return self._value(channel, value)

    def written(self, channel: Channel, value: Any) -> tuple[str, bytes]:  # of a state key
        """Return type and bytes of what a task wrote to a channel."""
        return self._value(channel, value, follow=False)

    def _value(
        self, channel: Channel, value: Any, *, snapshot: bool = False, follow: bool = True
    ) -> tuple[str, bytes]:
        if type(value) is list and len(value) >= FEW_ITEMS:
            return self._list(channel, value, snapshot, follow)
        kind, data = self.seal.inner.dumps_typed(value)
        if len(data) > SMALL_VALUE:
            if type(value) is list:
                return self._list(channel, value, snapshot, follow)
            links, bones = self._whole(channel, kind, data)
            return self._reference(links, [*bones, snapshot])
        if snapshot:
            return self._plain(_DeltaSnapshot(value))
        return (kind, data) if self.seal.cipher is None else self.seal.row(kind, data)

    def _plain(self, value: Any) -> tuple[str, bytes]:  # of a state key
        return self.seal.row(*self.seal.dumps(value))

    def _list(
        self, channel: Channel, value: list[Any], snapshot: bool, follow: bool
    ) -> tuple[str, bytes]:
        cutter = Cutter(
            serialize=self._item,
            pack=self._packed,
            store=self._segment,
            stored=self.known.hashes.__contains__,
        )
        earlier = self.known.lists.get(channel) if follow else None
        segments, behind, layout = cutter.cut(value, earlier or Layout())
        if follow:
            self.known.lists[channel] = layout
        if not segments and _small(behind):
            return self._plain(_DeltaSnapshot(value) if snapshot else value)
        links, entries = skeleton([*segments, *map(self._kept, behind)])
        return self._reference(links, ["l", entries, snapshot])

    def _item(self, value: Any) -> Item:  # a list's item
        kind, data = self.seal.dumps(value)
        if len(data) <= SMALL_ITEM:
            return Item((kind, bytes(data)), kind, bytes(data))
        if len(data) <= pieces.PIECE_BYTES:
            return Item(self.seal.name(b"v", kind.encode(), b"\0", data), kind, data)
        return Item(self._node(*self._cut(kind, data, ())))

    def _packed(self, items: Sequence[Item]) -> Link:
        """Store a segment of items: whole, so that it is read at once; but large ones are stored for themselves."""
        tokens = [
            self._kept(item)
            if item.data is None or len(item.data) > PACKED_ITEM
            else (item.kind, item.data)
            for item in items
        ]
        links, entries = skeleton(tokens)
        return self._node(links, ["s", entries])

    def _kept(self, item: Item) -> Token:
        """Store an item for itself; return what stands for it."""
        if isinstance(item.token, bytes) and item.data is not None:
            self._keep(item.token, form.VALUE, form.typed(item.kind, item.data))
        return item.token

    def _segment(self, links: Sequence[Link]) -> Link:
        return self._node(links, ["s", [len(links)]])

    def _whole(self, channel: Channel, kind: str, data: bytes) -> tuple[list[Link], form.Skeleton]:
        if len(data) <= pieces.PIECE_BYTES:
            return [self._content(form.VALUE, form.typed(kind, data))], ["v", None]
        earlier = self.known.cuts.get(channel, ())
        return self._cut(kind, data, earlier, channel)

    def _cut(
        self,
        kind: str,
        data: bytes,
        earlier: Sequence[pieces.Cuts],
        channel: Channel | None = None,
    ) -> tuple[list[Link], form.Skeleton]:
        """Cut a large value; remember where, so that the next one of the channel shares its pieces."""
        head, rest = data[: pieces.HEAD_BYTES], memoryview(data)[pieces.HEAD_BYTES :]
        cuts = pieces.cut(rest, earlier, self._piece_name)
        if channel is not None:
            self.known.cuts[channel] = (cuts, *earlier)[:2]
        for start, stop, name in pieces.ranges(cuts):
            self._keep(name, form.PIECE, rest[start:stop])
        return [name for _, name in cuts], ["c", [kind, bytes(head)]]

    def _piece_name(self, data: memoryview) -> Link:
        return self.seal.name(b"p", data)

    def _content(self, kind: int, body: bytes) -> Link:
        name = self.seal.name(b"v", body)
        self._keep(name, kind, body)
        return name

    def _node(self, links: Sequence[Link], bones: form.Skeleton) -> Link:
        packed = form.dump(bones)
        name = self.seal.name(b"n", form.pack(links, packed))
        self.rows.leans = True
        if self._fresh(name):
            kind, hidden = self.seal.close(form.NODE if links else form.SEGMENT, packed)
            self._add(name, kind, form.pack(links, hidden))
        return name

    def _keep(self, name: Link, kind: int, body: bytes | memoryview) -> None:
        self.rows.leans = True
        if self._fresh(name):
            self._add(name, *self.seal.close(kind, bytes(body)))

    def _add(self, name: Link, kind: int, body: bytes) -> None:
        self.rows.content[name] = kind, body
        self.rows.size += len(body)

    def _fresh(self, name: Link) -> bool:
        return name not in self.known.hashes and name not in self.rows.content

    def _reference(self, links: Sequence[Link], bones: form.Skeleton) -> tuple[str, bytes]:
        self.rows.leans = True
        kind, hidden = self.seal.row(form.REFERENCE, form.dump(bones))
        return kind, form.pack(links, hidden)


def put_rows(
    encoder: Encoder,
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    new_versions: ChannelVersions,
) -> None:
    """Add the rows of a checkpoint."""
    configurable = config["configurable"]
    ns, parent = configurable["checkpoint_ns"], configurable.get("checkpoint_id")
    place = (configurable["thread_id"].encode(), ns.encode())
    rows, hidden = encoder.rows, encoder.seal.cipher is not None
    row: dict[str, Any] = {}  # channel values as JSON
    for channel, value in checkpoint["channel_values"].items():
        if _fits_row(value, hidden=hidden):
            row[channel] = value
            continue
        if isinstance(value, _DeltaSnapshot):
            row[channel] = True  # LangGraph's mark for a snapshot
        version = new_versions.get(channel)
        if version is None:
            version = _unstored(encoder.known, ns, channel, value, checkpoint["channel_versions"])
        if version is not None:
            kind, body = encoder.channel((ns, channel), value)
            stored = (channel.encode(), str(version).encode(), kind.encode(), body)
            rows.blobs.append(Blob(*place, *stored))
            rows.size += len(body)
    saved = _checkpoint_json({**checkpoint, "channel_values": row})
    known = told(get_serializable_checkpoint_metadata(config, metadata), configurable)
    before = parent.encode() if parent is not None else None
    rows.puts.append(Put(*place, checkpoint["id"].encode(), before, saved, _metadata_json(known)))
    rows.size += len(saved)


def write_rows(
    encoder: Encoder,
    config: RunnableConfig,
    writes: Sequence[tuple[str, Any]],  # channel, value
    task_id: str,
    task_path: str,
) -> None:
    """Add the rows of what a task wrote."""
    configurable = config["configurable"]
    ns = configurable["checkpoint_ns"]
    thread, checkpoint = configurable["thread_id"].encode(), configurable["checkpoint_id"].encode()
    place = (thread, ns.encode(), checkpoint, task_id.encode())
    rows, path, over = encoder.rows, task_path.encode(), FALSE
    if only_special(writes):
        rows.replaces, over = True, TRUE
    for idx, (channel, value) in enumerate(writes):
        kind, body = encoder.written((ns, channel), value)
        number = WRITES_IDX_MAP.get(channel, idx).to_bytes(4, "big", signed=True)
        written = (path, channel.encode(), kind.encode(), body, over)
        rows.writes.append(Write(*place, number, *written))
        rows.size += len(body)


def only_special(writes: Sequence[tuple[str, Any]]) -> bool:  # channel, value
    """Tell whether a task wrote to LangGraph's own channels alone: errors, interrupts, resumptions."""
    return WRITES_IDX_MAP.keys() >= {channel for channel, _ in writes}


def _unstored(
    known: ThreadKnowledge, ns: str, channel: str, value: Any, versions: Mapping[str, Any]
) -> Any:  # a version
    """Return the version of an unchanged plain value whose row may be missing: LangGraph's saver keeps it inline."""
    version = versions.get(channel)
    plain = value is None or isinstance(value, str | int | float | bool)
    if not plain or version is None:
        return None
    if known.blobs.get((ns.encode(), channel.encode())) == str(version).encode():
        return None
    return version


def _fits_row(value: Any, *, hidden: bool) -> bool:  # of a state key
    """Tell whether a value goes into the checkpoint's own row, as LangGraph puts plain ones there."""
    if value is None or isinstance(value, bool | int):
        return not hidden
    if isinstance(value, str):
        return not hidden and len(value) <= INLINE_CHARACTERS and clean(value) == value
    return isinstance(value, float) and not hidden and _stays_float(value)


def _stays_float(value: float) -> bool:
    """Tell whether a number comes back from jsonb as it is: 1e16 would be an integer, and -0.0 positive."""
    if value == 0:
        return math.copysign(1, value) > 0
    return math.isfinite(value) and "e+" not in float.__repr__(value)


def _small(items: Sequence[Item]) -> bool:
    small = [item.token[1] for item in items if isinstance(item.token, tuple)]
    return len(small) == len(items) and sum(map(len, small)) <= SMALL_VALUE


def _checkpoint_json(checkpoint: Mapping[str, Any]) -> bytes:  # with the values that fit its row
    try:
        return orjson.dumps(checkpoint, option=_STRICT)
    except TypeError:  # a number of more than 64 bits, a class of its own
        return _json(checkpoint).encode()


def _metadata_json(metadata: Mapping[str, Any]) -> bytes:
    """Return JSON, and what is none where a number is: Postgres refuses that, and it is not stored as null."""
    found = _checkpoint_json(metadata)
    return found if b"null" not in found else _json(metadata).encode()


_json = json.JSONEncoder(ensure_ascii=False).encode
_STRICT = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
