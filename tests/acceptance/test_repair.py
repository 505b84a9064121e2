"""Repairs whose process is killed where it hurts most."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import interlock
from interlock import Interlock
from interlock.core.answers import Approve
from tests.unattended import attempt

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "tests" / "sample" / "mended" / "langgraph.json"


def killed(url: str, thread: str, name: str) -> None:
    """Go on with a repair in a process of its own, and kill that behind what its bench did."""
    command = [sys.executable, "-m", "tests.repair_driver", url, str(CONFIG), thread, name]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # ours
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        process.kill()


async def begun(il: Interlock, log: Path) -> tuple[str, str]:
    """Return the run that is dead, and the thread of a repair that nobody has begun to work on."""
    run = await il.asubmit("orders", {"log": str(log), "pieces": 4, "note": "text"})
    assert (await attempt(il, run.run_id)).status == "dead"
    (letter,) = await il.aletters()
    repair = await il.aletter_repair(letter.id, model="offline:extractive", attended=True)
    return run.run_id, repair.thread_id


async def test_a_repair_survives_its_process(database_url: str, tmp_path: Path) -> None:
    """Killed behind its trial, and again behind the commit of its promotion: the world sees each act once."""
    log = tmp_path / "log"
    async with interlock.aopen(database_url, config=CONFIG) as il:
        dead, thread = await begun(il, log)

        killed(database_url, thread, "rehearse")
        assert (await il.aresume(thread)).status == "waiting"
        assert log.read_text().splitlines() == ["reserve stock", "reserve carrier"]

        (question,) = await il.aquestions(thread)
        await il.asubmit_answer(thread, Approve(question.id, "ben"), attended=True)
        killed(database_url, thread, "promote")
        done = await il.aresume(thread)

        assert done.output is not None
        assert done.output["status"] == "promoted"
        assert (await attempt(il, dead)).status == "succeeded"
        assert [each.status for each in await il.aletters(status=None)] == ["repaired"]
    assert log.read_text().splitlines() == ["reserve stock", "reserve carrier", "pay 12"]
