"""`graph`: draw a graph in the terminal, as a picture, or as Mermaid, with a thread's counts and place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from interlock.cli.call import Call, Command, this_call
from interlock.errors import NotFound, UsageError

if TYPE_CHECKING:
    from interlock.application import Graph
    from interlock.core.runs import Run
    from interlock.drawing import Marks


@click.command(cls=Command)
@click.argument("name", metavar="GRAPH")
@click.option("--png", metavar="FILE", type=click.Path(path_type=Path), help="Write a picture.")
@click.option("--mermaid", is_flag=True, help="Print Mermaid text.")
@click.option(
    "--thread", metavar="ID", help="Show how often each node ran on a thread, and where it is."
)
@click.option("--xray/--no-xray", default=True, help="Show the graphs inside of nodes.")
def graph(name: str, png: Path | None, mermaid: bool, thread: str | None, xray: bool) -> int:
    """Draw a graph."""
    from interlock.cli.output import print_json, print_notice, remarks
    from interlock.documents.runs import notice_of
    from interlock.drawing import draw_text, shape_of

    call = this_call()
    compiled = _compiled(call, name)
    run, marks = _marks(call, name, thread)
    drawable = compiled.get_graph(xray=xray)
    if png is not None:
        _write_png(png, drawable, name, run, marks)
    if call.as_json:
        document = drawable.to_json() | {"graph": name, "counts": dict(marks.counts)}
        print_json(
            document | {"current": sorted(marks.current), "png": png and str(png.absolute())}
        )
    elif mermaid:
        click.echo(drawable.draw_mermaid().rstrip())
    elif png is not None:
        click.echo(str(png.absolute()))
    else:
        click.echo(draw_text(shape_of(drawable), marks))
    if run is not None and not call.as_json:
        print_notice(remarks(), notice_of(run.model))
    return 0


def _compiled(call: Call, name: str) -> Graph:
    from interlock.application import Application

    return Application.find(call.settings().config).graph(name)


def _marks(call: Call, name: str, thread: str | None) -> tuple[Run | None, Marks]:
    from interlock.drawing import Marks
    from interlock.history import node_counts

    if thread is None:
        return None, Marks()
    with call.runtime() as il:
        run, steps = il.run(thread), il.history(thread)
    if run.graph != name:
        raise NotFound(
            f"Thread {run.thread_id[:8]} is of the graph {run.graph!r}, not of {name!r}.",
            hint=f"`interlock graph {run.graph} --thread {thread}` draws it.",
        )
    return run, Marks(counts=node_counts(steps), current=frozenset(steps[-1].next if steps else ()))


def _write_png(png: Path, drawable: object, name: str, run: Run | None, marks: Marks) -> None:
    from langchain_core.runnables.graph import Graph as Drawable

    from interlock.documents.runs import notice_of
    from interlock.drawing import draw_png, shape_of

    assert isinstance(drawable, Drawable)  # noqa: S101  # LangGraph's own type, imported where it is used
    parts = [f"thread {run.thread_id[:8]}, {run.status}", notice_of(run.model)] if run else []
    picture = draw_png(
        shape_of(drawable),
        title=name,
        note="  ·  ".join(each for each in parts if each),
        marks=marks,
    )
    try:
        png.parent.mkdir(parents=True, exist_ok=True)
        png.write_bytes(picture)
    except OSError as error:
        raise UsageError(f"{png} cannot be written: {error.strerror}.") from error
