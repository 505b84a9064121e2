"""What all requests share: made once when the server starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from interlock.facade import Interlock
from interlock.postgres.thread_metadata import ThreadMetadata
from interlock.server.auditing import Audit
from interlock.server.gatekeeping import Gatekeeper
from interlock.server.known import Known
from interlock.server.limits import Rates
from interlock.server.metrics import Tally
from interlock.server.pulse import Pulse
from interlock.server.tenancy import Tenancy


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The parts of one server process.

    Attributes:
        il: the runtime, which sees everything.
        gatekeeper: knows callers.
        tenancy: gives each caller the runtime as they may see it.
        audit: the log of who did what.
        rates: how much of their share callers have left.
        workers_inside: how many runs this process works on at once; 0 for none.
        assistants: those that are everybody's, seen a moment ago.
        tally: what this process has served.
        pulse: what tells open pages that something happened.
        thread_metadata: reads what clients said of the threads that runs begin on.
    """

    il: Interlock
    gatekeeper: Gatekeeper
    tenancy: Tenancy
    audit: Audit
    rates: Rates
    workers_inside: int = 0
    assistants: Known = field(default_factory=Known)
    tally: Tally = field(default_factory=Tally.new)
    pulse: Pulse = field(default_factory=Pulse)
    thread_metadata: ThreadMetadata = field(default_factory=ThreadMetadata)
