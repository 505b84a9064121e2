"""A process that spends: it runs parallel branches against the budgets of some tenants, and notes each real call."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from pathlib import Path

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult

import interlock
from interlock.settings import Settings
from interlock.testing import OneModel
from tests.spending import Priced

CONFIG = Path(__file__).parent / "sample" / "bounds" / "langgraph.json"


class Noting(Priced):
    """Notes each call where no budget can forget it: in a file that all processes append to."""

    log: Path
    hangs: bool = False

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> ChatResult:
        if self.hangs:
            self._note("holds")
            await asyncio.Event().wait()
        await asyncio.sleep(random.random() * 0.02)
        self._note("called")
        return self._answer(messages, 1)

    def _note(self, word: str) -> None:
        file = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{word}\n".encode())
        os.close(file)


async def main(url: str, folder: str, branches: int, tenants: list[str], *, hangs: bool) -> None:
    """Run the branches once for each tenant, and print how many calls were refused."""
    refused = {}
    for tenant in tenants:
        chat = Noting(log=Path(folder) / tenant, hangs=hangs)
        async with interlock.aopen(
            url, config=CONFIG, settings=Settings(tenant=tenant), models=OneModel(chat=chat)
        ) as il:
            run = await il.ainvoke("wide", {"members": branches})
            refused[tenant] = run.output["said"].count("refused")
    sys.stdout.write(json.dumps(refused) + "\n")


if __name__ == "__main__":
    _, url, folder, branches, tenants, hangs = sys.argv
    asyncio.run(main(url, folder, int(branches), tenants.split(","), hangs=hangs == "hangs"))
