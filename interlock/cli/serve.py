"""`serve`: LangGraph's protocol over HTTP, and the dashboard."""

from __future__ import annotations

import json
import os
import signal
import sys
from threading import Thread
from typing import TYPE_CHECKING

import click

from interlock.cli.call import Call, Command, this_call
from interlock.cli.examples import examples

if TYPE_CHECKING:
    from interlock.settings import Settings


@click.command(
    cls=Command,
    epilog=examples(
        "interlock serve --workers-inside 16",
        "interlock serve --processes 4 --workers-inside 16",
        "interlock serve --config path/to/langgraph.json --port 8123",
    ),
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="To bind.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=2024,
    show_default=True,
    help="To bind; 0 for any that is free.",
)
@click.option(
    "--workers-inside",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Work on up to N runs at once in this process, for use on one machine.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    metavar="N",
    help="Serve in so many processes, each with its own workers inside: one for each core.",
)
@click.option(
    "--socket", "number", type=int, hidden=True, help="Where a process of several listens."
)
def serve(host: str, port: int, workers_inside: int, processes: int, number: int | None) -> int:
    """Serve the application's graphs over HTTP, until Ctrl-C or SIGTERM."""
    import asyncio

    from uvicorn.loops.auto import auto_loop_factory

    from interlock.core.enduring import run_to_its_end

    # uvloop's where it is installed: all that waits for sockets takes less CPU.
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        if processes > 1:
            return runner.run(_supervise(this_call(), host, port, workers_inside, processes))
        serving = _serve(this_call().settings(), host, port, workers_inside, number)
        run_to_its_end(runner.get_loop(), serving)
        return 0


async def _serve(
    settings: Settings, host: str, port: int, workers_inside: int, number: int | None
) -> None:
    from interlock.server.listening import inherited
    from interlock.server.serving import serve as run
    from interlock.worker.log import Log, to_stderr

    if number is not None:
        _end_with_input()
    await run(
        settings,
        host=host,
        port=port,
        listening=None if number is None else inherited(host, number),
        workers_inside=workers_inside,
        log=Log(write=to_stderr),
        ready=_serving if number is None else lambda address: _say(ready=address),
        notice=_notice if number is None else lambda text: _say(notice=text),
    )


async def _supervise(call: Call, host: str, port: int, workers_inside: int, processes: int) -> int:
    from interlock.server.processes import sockets, supervise

    command = [sys.executable, "-m", "interlock", *call.given(), "serve", "--host", host]
    command += ["--workers-inside", str(workers_inside), "--socket"]
    with sockets(host, port, processes) as bound:
        return await supervise(command, bound, ready=_serving, notice=_notice)


def _serving(address: str) -> None:
    click.echo(f"Serving {address}", err=True)


def _notice(text: str) -> None:
    click.echo(text, err=True)


def _say(**said: str) -> None:
    """Tell the process that looks after this one."""
    click.echo(json.dumps(said))


def _end_with_input() -> None:
    """Stop when the process that looks after this one is gone, and its end of the input with it."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=wait, name="interlock-input", daemon=True).start()
