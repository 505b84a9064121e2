"""Starting a run: choose a graph, fill in the form that its input schema makes."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request, Response

from interlock.application import Graph
from interlock.drawing import shape_of
from interlock.errors import InterlockError
from interlock.inputs import takes_our_context
from interlock.server.dashboard.drawn import Marked, draw
from interlock.server.dashboard.fields import Field, input_fields
from interlock.server.dashboard.folding import folds_of
from interlock.server.dashboard.forms import read
from interlock.server.dashboard.pages.steering import address, begun_here
from interlock.server.dashboard.routing import pages, see, texts_of
from interlock.server.dashboard.templates import page
from interlock.server.failures import status_of
from interlock.server.scope import Running, Scope

router = pages()


@router.get("/ui/start")
async def choose(request: Request, scope: Running) -> Response:
    """Show the graphs that can be run."""
    names = [*scope.reader.application.targets]
    if len(names) == 1:
        return see(f"/ui/start/{names[0]}")
    return await page(request, scope, "choose.html", graphs=names)


@router.get("/ui/start/{graph}")
async def form(request: Request, scope: Running, graph: str) -> Response:
    """Show the form of a graph's input."""
    compiled = scope.reader.graph(graph)
    return await _form(request, scope, graph, compiled, input_fields(compiled))


@router.post("/ui/start/{graph}")
async def start(request: Request, scope: Running, graph: str) -> Response:
    """Start a run with what the form gives, or show what is wrong with it."""
    compiled = scope.reader.graph(graph)
    given = await texts_of(request)
    values, fields = read(input_fields(compiled), given)
    model = given.get("model", "").strip()
    if any(each.fault for each in fields):
        return await _form(request, scope, graph, compiled, fields, model=model, status=422)
    try:
        run = await scope.il.asubmit(
            graph,
            values,
            model=model or None,
            driving=begun_here(scope, graph),
        )
    except InterlockError as error:
        return await _form(
            request, scope, graph, compiled, fields, str(error), model, status_of(error)
        )
    about = {"graph": graph, "run": run.run_id}
    await scope.house.audit.note(scope.caller, "submit", run.thread_id, about)
    return see(address(run.thread_id), "Started")


async def _form(
    request: Request,
    scope: Scope,
    graph: str,
    compiled: Graph,
    fields: Sequence[Field],
    fault: str = "",
    model: str = "",
    status: int = 200,
) -> Response:
    said = request.query_params.getlist("fold")
    folded = folds_of(shape_of(compiled.get_graph(xray=True)), said, {})
    return await page(
        request,
        scope,
        "start.html",
        status_code=status,
        graph=graph,
        fields=fields,
        fault=fault,
        model=model,
        takes_model=takes_our_context(compiled),
        default_model=scope.reader.settings.model,
        picture=draw(folded.drawn, Marked(folds=folded.changed), about=f"The graph {graph}."),
        folded=folded,
    )
