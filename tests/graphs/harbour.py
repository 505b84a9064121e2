"""A harbour with two lamps: small sources, scripted roles, and a team that is driven through its front door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, StateSnapshot
from pydantic import BaseModel

from graphs.research import Graph
from interlock.core.context import Context
from interlock.core.corpus_memory import MemoryCorpus
from interlock.testing import RecordingLedger, ScriptedModel, Turn, make_context
from nodes.research.questions import (
    Critique,
    Extraction,
    Judgement,
    Plan,
    PlannedTask,
    Query,
    Quotation,
    Report,
    Supervision,
    WrittenSection,
    WrittenSentence,
)
from state.research import finding_id

QUESTION = "How far do the harbour's lamps reach?"
SOURCES = {
    "north.md": "# North pier\n\nThe north lamp is lit at dusk. The north lamp reaches 18 miles\n"
    "in clear weather.\n",
    "south.md": "# South pier\n\nThe south lamp is lit by a sensor. The south lamp reaches 12 miles.\n",
}
QUOTES = {
    "north": "The north lamp reaches 18 miles\nin clear weather.",
    "south": "The south lamp reaches 12 miles.",
}
CRITERION = "names the reach in miles"


def task(name: str, *needs: str) -> PlannedTask:
    """Return the task about one lamp."""
    question = f"How far does the {name} lamp reach?"
    return PlannedTask(id=name, question=question, criteria=[CRITERION], needs=list(needs))


def meant_for(name: str) -> str:
    """Return what only the prompts of one researcher contain."""
    return f"ask:\n{task(name).question}\n"


def looks(name: str, words: str = "") -> Turn:
    """A researcher's query for its lamp."""
    return Turn(reply=Query(query=words or f"{name} reaches"), when=meant_for(name))


def reads(name: str, *quotes: str) -> Turn:
    """A researcher copies quotations out of the first passage, line breaks left out."""
    quotations = [
        Quotation(
            passage=0, quote=" ".join(quote.split()), claim=f"The {name} lamp's reach is stated."
        )
        for quote in quotes
    ]
    return Turn(reply=Extraction(quotations=quotations), when=meant_for(name))


def judges(name: str, *unmet: str) -> Turn:
    """A researcher judges its findings."""
    return Turn(reply=Judgement(unmet=list(unmet)), when=meant_for(name))


def finds(name: str, words: str = "") -> list[Turn]:
    """All that a researcher does when its first search brings what it needs."""
    return [looks(name, words), reads(name, QUOTES[name]), judges(name)]


def enough() -> Supervision:
    """The supervisor misses nothing."""
    return Supervision(missing="", tasks=[])


def accepted() -> Critique:
    """The critic lets the draft pass."""
    return Critique(verdict="accept", reasons=[])


@dataclass(kw_only=True)
class Team:
    """The compiled graph with a scripted model, and the thread that it runs on."""

    graph: Graph
    folder: Path
    output: Path
    model: ScriptedModel = field(default_factory=ScriptedModel)
    ledger: RecordingLedger = field(default_factory=RecordingLedger)
    corpus: MemoryCorpus = field(default_factory=MemoryCorpus)
    ids: Mapping[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def config(self) -> RunnableConfig:
        """The thread."""
        return {"configurable": {"thread_id": "harbour"}}

    @property
    def context(self) -> Context:
        """The context of each run."""
        return make_context(model=self.model, corpus=self.corpus, ledger=self.ledger)

    def given(self, **more: Any) -> Any:  # the graph's input
        """Return the input of a run."""
        sources, output = [str(self.folder)], str(self.output)
        return {"question": QUESTION, "sources": sources, "output": output, **more}

    async def start(self, *turns: Turn | BaseModel, **more: Any) -> dict[str, Any]:
        """Run the graph with these turns until it ends or asks."""
        self.model.then(*turns)
        return await self._run(self.given(**more))

    async def answer(
        self, decision: Mapping[str, Any], *turns: Turn | BaseModel, digest: str = ""
    ) -> dict[str, Any]:
        """Answer the question of `approve`, and run on with these turns."""
        self.model.then(*turns)
        resume = {"decisions": [dict(decision)], "digest": digest, "by": "Ada"}
        return await self._run(Command(resume=resume))

    async def go_on(self, *turns: Turn | BaseModel) -> dict[str, Any]:
        """Run on after a failure."""
        self.model.then(*turns)
        return await self._run(None)

    async def _run(self, given: Any) -> dict[str, Any]:  # input or command, and any stream mode
        parts: Any = self.graph.astream(
            given,
            self.config,
            context=self.context,
            stream_mode=["custom", "values"],
            subgraphs=True,
            durability="sync",
        )
        last: dict[str, Any] = {}
        async for namespace, mode, part in parts:
            if mode == "custom":
                self.events.append(part)
            elif not namespace:
                last = part
        return last

    async def state(self) -> StateSnapshot:
        """Return where the thread is."""
        return await self.graph.aget_state(self.config)

    async def question(self) -> dict[str, Any]:
        """Return the payload of the one question that is open."""
        (interrupt,) = (await self.state()).interrupts
        return dict(interrupt.value)

    async def nodes(self) -> list[str]:
        """Return the nodes that ran, in their order; those of one superstep in the order of names."""
        found = [step async for step in self.graph.aget_state_history(self.config)]
        return [name for step in reversed(found) for name in sorted(step.next)]

    def told(self, event: str) -> list[dict[str, Any]]:
        """Return the progress events of one kind."""
        return [each for each in self.events if each["event"] == event]

    def finding(self, name: str, quote: str = "") -> str:
        """Return the id of the finding about one lamp."""
        return finding_id(name, self.ids[f"{name}.md"], quote or QUOTES[name])

    def report(self, *sentences: WrittenSentence, title: str = "The lamps' reach") -> Report:
        """Return a report of one section."""
        section = WrittenSection(heading="Reach", sentences=list(sentences))
        return Report(title=title, sections=[section], unknown=[], disagreements=[])

    def says(self, name: str, text: str = "") -> WrittenSentence:
        """Return a sentence about one lamp that cites what was found about it."""
        miles = {"north": 18, "south": 12}[name]
        text = text or f"The {name} lamp reaches {miles} miles."
        return WrittenSentence(text=text, citations=[self.finding(name)])

    def good_report(self, title: str = "The lamps' reach") -> Report:
        """Return the report that nobody can object to."""
        return self.report(self.says("north"), self.says("south"), title=title)

    def research(self) -> list[Turn | BaseModel]:
        """All turns of a first round in which both lamps are found."""
        return [
            Plan(tasks=[task("north"), task("south")]),
            *finds("north"),
            *finds("south"),
            enough(),
        ]

    def happy(self) -> list[Turn | BaseModel]:
        """All turns of a run that nothing disturbs."""
        return [*self.research(), self.good_report(), accepted()]
