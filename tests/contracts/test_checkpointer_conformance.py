"""LangGraph's own contract for checkpointers, on the stock saver and on ours."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from interlock.postgres import Checkpointer
from tests.ciphers import Reversing

BASIC = {"put", "put_writes", "get_tuple", "list", "delete_thread", "prune"}
WHOLE = BASIC | {"delete_for_runs", "copy_thread"}


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
async def test_ours_fulfils_the_whole_contract(database_url: str, encrypted: bool) -> None:
    """Each part of the contract is there and fulfilled, also where values are encrypted."""
    serde = EncryptedSerializer(Reversing()) if encrypted else JsonPlusSerializer()

    @checkpointer_test(name="Checkpointer")
    async def ours() -> AsyncIterator[BaseCheckpointSaver[str]]:
        async with Checkpointer.from_conn_string(database_url, serde=serde) as saver:
            yield saver

    report = await validate(ours)

    failures = [failure for each in report.results.values() for failure in each.failures or ()]
    assert failures == []
    assert {name for name, each in report.results.items() if each.passed} == WHOLE


async def test_the_stock_saver_fulfils_a_part_of_it(database_url: str) -> None:
    """The contract tells savers apart: LangGraph's own deletes no runs and copies no threads."""

    @checkpointer_test(name="AsyncPostgresSaver")
    async def stock() -> AsyncIterator[BaseCheckpointSaver[str]]:
        async with AsyncPostgresSaver.from_conn_string(database_url) as saver:
            yield saver

    report = await validate(stock)

    assert {name for name, each in report.results.items() if each.passed} == BASIC
