"""Synchronous code that no cancellation reaches: it is still at work when its run has ended."""

from __future__ import annotations

from pathlib import Path

import pytest

import interlock
from tests.submitting import until

CONFIG = Path(__file__).parents[1] / "sample" / "late" / "langgraph.json"


async def test_nothing_is_done_once_the_run_has_ended(database_url: str, tmp_path: Path) -> None:
    """A node beside it has failed: its act is refused, and done once when the thread is resumed."""

    async def has_said() -> bool:
        return bool((tmp_path / "said").exists() and (tmp_path / "said").read_text())

    async with interlock.aopen(database_url, config=CONFIG) as il:
        with pytest.raises(RuntimeError, match="not mended yet"):
            await il.ainvoke("late", {"folder": str(tmp_path)}, thread_id="t")
        (tmp_path / "go").touch()
        await until(has_said)

        assert (tmp_path / "said").read_text() == "This attempt of the run has ended."
        assert not (tmp_path / "paid").exists()
        assert await il.effects_store.effects("t") == []
        (tmp_path / "mended").touch()
        run = await il.aresume("t")

    assert (run.status, run.output["paid"]) == ("succeeded", "paid")
    assert (tmp_path / "paid").read_text() == "paid\n"
