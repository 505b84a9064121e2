"""What a node may reach: visible knobs, and hidden ports with in-process defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from langgraph.config import get_config
from langgraph.runtime import Runtime
from pydantic import InstanceOf
from pydantic.json_schema import SkipJsonSchema

from interlock.core.allowance import Admission
from interlock.core.approvals import Approvals, InProcess
from interlock.core.blobs import Blobs, MemoryBlobs
from interlock.core.budget import Budgets
from interlock.core.budget_memory import MemoryBudgets
from interlock.core.corpus import Corpus
from interlock.core.corpus_memory import MemoryCorpus
from interlock.core.kills import Kills, Subject
from interlock.core.kills_memory import MemoryKills
from interlock.core.ledger import Ledger, MemoryLedger
from interlock.core.lineage import Lineage
from interlock.core.models import ChatModels, ModelSource
from interlock.core.policy import FixedPolicy, Policy, PolicySource
from interlock.core.prices import PriceTable, builtin
from interlock.core.rates import Rates
from interlock.core.rates_memory import MemoryRates
from interlock.core.recordings import Recordings, Unrecorded
from interlock.core.repairs import NoWorkshop, Workshop
from interlock.core.runs import Usage
from interlock.core.site import Site
from interlock.core.sleeps import AwakeSleeps, Sleeps
from interlock.core.trust import MemoryTrust, Trust
from interlock.core.usage import Spending, Uncounted
from interlock.errors import ReplayDiverged, RunCancelled

OFFLINE_MODEL = "offline:extractive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The doors to the world; the runtime passes durable ones, plain LangGraph uses these defaults.

    Attributes:
        models: builds chat models by name.
        corpus: the documents that a run may read.
        ledger: what was done to the world, so that nothing is done twice.
        approvals: where the answers of people stand.
        policy: which acts may happen, and who must agree.
        trust: what each agent has earned for each action.
        spending: what the model calls of a thread took so far.
        recordings: how model calls were answered, so that no answer is paid for twice.
        budgets: what runs, threads, graphs and tenants may take.
        prices: what models cost.
        kills: the kill switch.
        blobs: large bytes that states name by references.
        sleeps: until when nodes sleep.
        rates: how often models may be called, by all processes together.
        workshop: where dead runs are repaired.
    """

    models: ModelSource = field(default_factory=ChatModels)
    corpus: Corpus = field(default_factory=MemoryCorpus)
    ledger: Ledger = field(default_factory=MemoryLedger)
    approvals: Approvals = field(default_factory=InProcess)
    policy: PolicySource = field(default_factory=FixedPolicy)
    trust: Trust = field(default_factory=MemoryTrust)
    spending: Spending = field(default_factory=Uncounted)
    recordings: Recordings = field(default_factory=Unrecorded)
    budgets: Budgets = field(default_factory=MemoryBudgets)
    prices: PriceTable = field(default_factory=builtin)
    kills: Kills = field(default_factory=MemoryKills)
    blobs: Blobs = field(default_factory=MemoryBlobs)
    sleeps: Sleeps = field(default_factory=AwakeSleeps)
    rates: Rates = field(default_factory=MemoryRates)
    workshop: Workshop = field(default_factory=NoWorkshop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The context schema of every graph.

    Attributes:
        model: the chat model of every role, as `provider:name`.
        role_models: other models for some roles (`{"critic": "openai:gpt-5"}`).
        prompts: pinned prompt versions (`{"research/plan": "1.0.0"}`); what is not named uses the newest release.
        tenant: on whose behalf the run acts; for the policy.
        ports: hidden from schemas; set by the runtime.
    """

    model: str = OFFLINE_MODEL
    role_models: Mapping[str, str] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    tenant: str = ""
    ports: SkipJsonSchema[InstanceOf[Ports]] = field(default_factory=Ports, repr=False)

    def model_for(self, role: str) -> str:
        """Return the name of the model that plays a role."""
        return self.role_models.get(role, self.model)


KEY = "__interlock"
"""Under which the runtime hands a run's surroundings to its nodes, in LangGraph's configuration: another application's
graph has a context of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What surrounds a running node, whatever context its graph takes.

    Attributes:
        ports: the doors to the world.
        graph: the graph's name; empty where the runtime did not start it.
        tenant: on whose behalf it runs.
        lineage: which recorded work it may use.
        subject: the run, by all the names under which it may be killed.
        meter: what lets its model calls be made; None where nobody counts them.
        live_tools: tools that a replay may call although they are no actions.
        saves_later: the run's steps are not saved before the next begins; a crash may have acts asked for again.
        stopped: what has stopped a replay; the first of them is the reason.
        asked: keys of the model calls that this attempt of the run has asked for.
        halted: what has stopped this attempt of the run: synchronous code, which no cancellation reaches, looks here.
        over: says that this attempt has ended: what such code still wants to do is not done.
    """

    ports: Ports
    graph: str = ""
    tenant: str = ""
    lineage: Lineage = field(default_factory=Lineage)
    subject: Subject = field(default_factory=Subject)
    meter: Admission | None = None
    live_tools: tuple[str, ...] = ()
    saves_later: bool = False
    stopped: list[ReplayDiverged] = field(default_factory=list, compare=False, repr=False)
    asked: set[str] = field(default_factory=set, compare=False, repr=False)
    halted: list[Exception] = field(default_factory=list, compare=False, repr=False)
    over: list[Exception] = field(default_factory=list, compare=False, repr=False)

    def check_halted(self) -> None:
        """Raise what has stopped this attempt of the run, if anything has."""
        if self.halted:
            raise self.halted[0]

    def end(self) -> None:
        """Note that this attempt of the run has ended: no code of its nodes is waited for any more."""
        ended = RunCancelled("This attempt of the run has ended.")
        self.halted.append(ended)
        self.over.append(ended)

    def check_over(self) -> None:
        """Raise `RunCancelled` when this attempt of the run has ended; one that is stopped may still clean up."""
        if self.over:
            raise self.over[0]

    def policy(self) -> Policy:
        """Return the policy as it is now."""
        return self.ports.policy.current()

    def subject_at(self, site: Site) -> Subject:
        """Return the run by all the names under which it may be killed; in plain LangGraph those that are known."""
        if self.subject.runs:
            return self.subject
        return Subject(runs=(site.run_id,), thread_id=site.thread_id, tenant=self.tenant)

    def stop(self, error: ReplayDiverged) -> ReplayDiverged:
        """Note what stops a replay, for good: an application may catch what is raised in it, and go on."""
        self.stopped.append(error)
        return self.stopped[0]

    def check_replay(self) -> None:
        """Raise what has stopped the replay, if anything has."""
        if self.stopped:
            raise self.stopped[0]


def around_here() -> Around | None:
    """Return what surrounds the running node, if the runtime runs it."""
    try:
        found = get_config().get("configurable", {}).get(KEY)
    except RuntimeError:
        return None
    return found if isinstance(found, Around) else None


def around_of(runtime: Runtime[Any]) -> Around:
    """Return what surrounds the running node: from the runtime, or else from the graph's own context."""
    if (found := around_here()) is not None:
        return found
    given = runtime.context
    context = given if isinstance(given, Context) else default_context()
    return Around(ports=context.ports, tenant=context.tenant)


def context_of(runtime: Runtime[Context]) -> Context:
    """Return the run's context; without one, the process-wide default with in-process ports."""
    # LangGraph leaves the context None when the caller passed none, whatever the annotation says.
    given: Context | None = runtime.context
    return default_context() if given is None else given


async def spent(runtime: Runtime[Context]) -> Usage | None:
    """Return what the model calls of the running thread took so far; None where nobody counts them."""
    info = runtime.execution_info
    thread_id = info.thread_id if info else None
    return await context_of(runtime).ports.spending.spent(thread_id) if thread_id else None


@cache
def default_context() -> Context:
    """Return the context that plain `graph.invoke` uses: one a process, so that a resumed run finds its documents."""
    return Context()
