"""`serve`: LangGraph's protocol over HTTP, and the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from interlock.cli.call import Command, this_call
from interlock.cli.examples import examples

if TYPE_CHECKING:
    from interlock.settings import Settings


@click.command(
    cls=Command,
    epilog=examples(
        "interlock serve --workers-inside 16",
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
def serve(host: str, port: int, workers_inside: int) -> None:
    """Serve the application's graphs over HTTP, until Ctrl-C or SIGTERM."""
    import asyncio

    from uvicorn.loops.auto import auto_loop_factory

    # uvloop's where it is installed: all that waits for sockets takes less CPU.
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(_serve(this_call().settings(), host, port, workers_inside))


async def _serve(settings: Settings, host: str, port: int, workers_inside: int) -> None:
    from interlock.server.serving import serve as run
    from interlock.worker.log import Log, to_stderr

    await run(
        settings,
        host=host,
        port=port,
        workers_inside=workers_inside,
        log=Log(write=to_stderr),
        ready=lambda address: click.echo(f"Serving {address}", err=True),
        notice=lambda text: click.echo(text, err=True),
    )
