"""Every error that Interlock raises on purpose, in one small family."""

from __future__ import annotations


class InterlockError(Exception):
    """Something Interlock refuses or cannot do; the message says what, to what, and what to do next.

    Attributes:
        hint: one sentence that tells a person what to do next; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = str(self.args[0])
        if not self.hint:
            return message
        return f"{message if message.endswith(('.', '!', '?', ':')) else f'{message}.'} {self.hint}"


class UsageError(InterlockError, ValueError):
    """The call itself is wrong: a missing or malformed argument, an unknown name."""

    exit_code = 2


class StateRefused(UsageError):
    """A state cannot be written or read like that: its graph does not take it, or there is none. Nothing changed."""


class NotFound(InterlockError, LookupError):
    """There is no such graph, thread, checkpoint or question."""

    exit_code = 2


class Unauthorized(InterlockError):
    """Who calls is not known: no key, or a wrong, expired or revoked one."""

    exit_code = 2


class Forbidden(InterlockError, PermissionError):
    """Who calls is known, and may not do this."""

    exit_code = 2


class ModelUnavailable(InterlockError):
    """A chat model cannot be built: unknown provider, missing package, missing key."""

    exit_code = 2


class ModelFailed(InterlockError):
    """A chat model's provider did not answer, or answered with an error or with nonsense; keys are blotted out.

    Attributes:
        model: the model, as `provider:name`.
        status_code: HTTP status of the answer; None where there was none.
        transient: whether the same request may well succeed a moment later.
        retry_after: after how many seconds the provider wants to be asked again; None where it did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        model: str,
        status_code: int | None = None,
        transient: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.model = model
        self.status_code = status_code
        self.transient = transient
        self.retry_after = retry_after


class OutputInvalid(InterlockError, ValueError):
    """A model's answer did not fit its schema after every repair."""


class PromptError(InterlockError):
    """A prompt file is missing, malformed, or was changed after its release."""


class ActionRefused(InterlockError):
    """An action was not run: unknown name, wrong arguments or node, failed precondition, budget, policy, a rejection.

    An action's own function may raise it too, to say that it did nothing.

    Attributes:
        kind: why, as one word: `unknown`, `arguments`, `node`, `precondition`, `budget`, `policy`, `rejected`,
            `unavailable`.
        rule: the policy's rule that said so; empty unless it was the policy.
    """

    def __init__(
        self, message: str, *, hint: str = "", kind: str = "unavailable", rule: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.rule = rule


class RefusedTooOften(InterlockError):
    """An agent was refused so often in a row that a person, or another part of the graph, must take over.

    It is no `ActionRefused`: a node that lets its agent correct itself does not catch it by accident.

    Attributes:
        kind: why it was refused the last time, as for `ActionRefused`.
        rule: the policy's rule that said so; empty unless it was the policy.
    """

    def __init__(self, message: str, *, hint: str = "", kind: str, rule: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.rule = rule


class EffectInDoubt(InterlockError):
    """Whether an act happened is not known, and nobody here may decide it."""


class EffectTakenOver(InterlockError):
    """An act was finished by somebody who no longer owned it; look whether it happened twice."""


class ReplayDiverged(InterlockError):
    """A replay came to a request that was not recorded; nothing was done and nothing was paid for.

    Attributes:
        node: the node that asked.
        kind: `action`, `model`, `tool` or `question`.
        requested: what it asked for, in one line.
        recorded: the nearest that was recorded, in one line; empty when nothing was.
        differs: what differs between the two, a line each.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        node: str,
        kind: str,
        requested: str,
        recorded: str = "",
        differs: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.node = node
        self.kind = kind
        self.requested = requested
        self.recorded = recorded
        self.differs = differs


class PolicyInvalid(InterlockError, ValueError):
    """A policy file cannot be read, or says something that means nothing."""

    exit_code = 2


class AnswerRefused(InterlockError):
    """An answer does not fit the question that is open now; nothing was changed."""

    exit_code = 2


class ThreadBusy(InterlockError):
    """Another process is running this thread; nothing was changed."""


class ResumeRefused(InterlockError):
    """The thread cannot be resumed safely by this code; nothing was changed."""


class SourceError(InterlockError, ValueError):
    """A source cannot be used: it is missing, empty, or outside of what was given."""

    exit_code = 2


class BudgetSpent(InterlockError, RuntimeError):  # which LangGraph's retry policy does not repeat
    """A budget does not suffice for what was asked; nothing was done, and what the run has so far is saved.

    Attributes:
        scope: whose budget: `run`, `thread`, `graph` or `tenant`, with its name (`thread 3f2a`).
        unit: what ran out: `tokens`, `usd`, `steps`, ... as in `interlock.core.budget.Limits`.
    """

    exit_code = 4

    def __init__(self, message: str, *, hint: str = "", scope: str, unit: str) -> None:
        super().__init__(message, hint=hint)
        self.scope = scope
        self.unit = unit


class Killed(InterlockError):
    """The kill switch was thrown; the run stopped where it was, and can be resumed once the switch is lifted.

    Attributes:
        kill: the number of the switch, as `interlock kill list` shows it.
    """

    exit_code = 5

    def __init__(self, message: str, *, hint: str = "", kill: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.kill = kill


class RunCancelled(InterlockError):
    """The run was stopped from outside, and does not go on.

    Attributes:
        kind: `cancel`, `interrupt`, `rollback` or `deadline`, as in `interlock.core.queueing.StopKind`.
    """

    exit_code = 6

    def __init__(self, message: str, *, hint: str = "", kind: str = "cancel") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


class StillRunning(InterlockError, TimeoutError):
    """Something had not ended in the time that somebody would wait for it; it goes on."""

    exit_code = 124  # as timeout(1) has it


class StreamCut(InterlockError):
    """This process stops, and so does its looking on; go on behind the last event at another one."""


class LeaseLost(InterlockError):
    """This process is not the run's worker any more, because it was taken for dead; nothing was written."""


class ObjectiveChanged(InterlockError, ValueError):
    """Something would rewrite the objective that a thread carries word for word; it was refused."""


class LimitReached(InterlockError):
    """A declared limit stopped the run; what it has so far is saved."""

    exit_code = 4


class DatabaseUnavailable(InterlockError):
    """The database cannot be reached or cannot be used."""


class IssuerUnavailable(InterlockError):
    """The issuer of tokens does not answer, and its keys are not known yet."""


class ServerUnavailable(DatabaseUnavailable):
    """The server that the command line was told to ask does not answer."""


class EmbeddedPostgresError(DatabaseUnavailable):
    """The embedded Postgres server cannot be started or stopped."""


class KeyMissing(InterlockError, ValueError):
    """What is stored was encrypted with a key that is not set, or was changed since; nothing was changed."""

    exit_code = 2
