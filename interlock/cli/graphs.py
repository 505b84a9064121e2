"""`graph`: draw a graph in the terminal, as a picture, or as Mermaid, with a thread's counts and place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from interlock.cli.call import Call, Command, this_call
from interlock.errors import NotFound, UsageError

if TYPE_CHECKING:
    from interlock.core.runs import Run
    from interlock.drawing import Drawing, Marks, Shape


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
    from interlock.drawing import draw_text

    call = this_call()
    drawing = _drawing(call, name, xray=xray)
    run, marks = _marks(call, name, thread)
    if png is not None:
        _write_png(png, drawing.shape, name, run, marks)
    if call.as_json:
        document = {**drawing.document, "graph": name, "counts": dict(marks.counts)}
        print_json(
            document | {"current": sorted(marks.current), "png": png and str(png.absolute())}
        )
    elif mermaid:
        click.echo(drawing.mermaid.rstrip())
    elif png is not None:
        click.echo(str(png.absolute()))
    else:
        click.echo(draw_text(drawing.shape, marks))
    if run is not None and not call.as_json:
        print_notice(remarks(), notice_of(run.model))
    return 0


def _drawing(call: Call, name: str, *, xray: bool) -> Drawing:
    from interlock.application import Application
    from interlock.drawing import drawing_of

    if call.address():
        with call.remote() as remote:
            return remote.drawing(name, xray=xray)
    return drawing_of(Application.find(call.settings().config).graph(name).get_graph(xray=xray))


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


def _write_png(png: Path, shape: Shape, name: str, run: Run | None, marks: Marks) -> None:
    from interlock.documents.runs import notice_of
    from interlock.drawing import draw_png

    parts = [f"thread {run.thread_id[:8]}, {run.status}", notice_of(run.model)] if run else []
    picture = draw_png(
        shape,
        title=name,
        note="  ·  ".join(each for each in parts if each),
        marks=marks,
    )
    try:
        png.parent.mkdir(parents=True, exist_ok=True)
        png.write_bytes(picture)
    except OSError as error:
        raise UsageError(f"{png} cannot be written: {error.strerror}.") from error
