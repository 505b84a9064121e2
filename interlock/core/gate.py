"""The one place that asks a person. A question binds to an action with its arguments; an answer names its question.

The payload is the `HITLRequest` of `langchain.agents.middleware`; other clients ignore the `question` beside it.
Answers are its `{"decisions": [...]}`, or the older list of `HumanInterrupt` responses.

Under the runtime an answer is looked up by the question's id, so that it can open no other gate: which value LangGraph
would hand to which `interrupt` call does not matter. Plain LangGraph has only that value; there its digest is checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, NotRequired, TypeGuard, cast

from langgraph.runtime import Runtime
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from typing_extensions import TypedDict

from interlock.core.actions import Action, digest, find
from interlock.core.approvals import InProcess
from interlock.core.context import Around, around_of
from interlock.core.judging import as_json, judge
from interlock.core.pausing import pause
from interlock.core.site import Site, here, nth
from interlock.errors import ActionRefused, AnswerRefused

DecisionType = Literal["approve", "edit", "reject", "respond"]
ALL_DECISIONS: tuple[DecisionType, ...] = ("approve", "edit", "reject", "respond")


Kind = Literal["approval", "in_doubt"]


class Decision(TypedDict):
    """What a person decided; `arguments` are what may now be done, as JSON.

    With `question`, the id, it is what `act(..., approval=decision)` shows; it permits one act with these arguments.
    """

    type: DecisionType
    arguments: dict[str, Any]
    message: str
    by: str
    question: NotRequired[str]


class QuestionInfo(TypedDict):
    """The part of the payload that is ours."""

    id: str
    digest: str
    kind: Kind
    effect: str
    summary: str
    evidence: list[str]
    consequences: dict[str, str]
    fixed: list[str]
    cost: float | None
    verdict: dict[str, Any]  # a policy's verdict, as JSON
    terms: dict[str, Any]  # a policy's terms, as JSON
    facts: dict[str, Any]  # what the policy decided on, as JSON
    checkpoint_id: str  # that the task started from


class Payload(TypedDict):
    """What an interrupt carries."""

    action_requests: list[dict[str, Any]]
    review_configs: list[dict[str, Any]]
    question: NotRequired[QuestionInfo]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person is asked.

    Attributes:
        action: the act that waits.
        arguments: with these arguments; the answer holds for no others.
        summary: one or two sentences that a person can decide by.
        evidence: what supports it, one line each.
        consequences: what each answer leads to.
        decisions: the answers that are offered.
        fixed: names of arguments that an edit may not change.
        kind: whether it asks for permission, or what became of an act.
        effect: key of the effect that waits for the answer; empty where a node asks of its own accord.
        beside: key of another effect that the question tells of; an approval that did not tell of it is none.
        cost: an estimate, in US dollars.
        verdict: the policy's verdict that led to the question, as JSON: it stands, whatever the policy says later.
        terms: who must agree, how many, by when, and what follows if nobody answers: `Terms` of a policy, as JSON.
        facts: what the policy decided on, as JSON; edited arguments are judged on the same.
    """

    action: Action[Any]
    arguments: Mapping[str, Any]
    summary: str
    evidence: tuple[str, ...] = ()
    consequences: Mapping[DecisionType, str] = field(default_factory=dict)
    decisions: tuple[DecisionType, ...] = ALL_DECISIONS
    fixed: tuple[str, ...] = ()
    kind: Kind = "approval"
    effect: str = ""
    beside: str = ""
    cost: float | None = None
    verdict: Mapping[str, Any] = field(default_factory=dict)
    terms: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def payload(self, name: str, checkpoint_id: str = "") -> Payload:
        """Return the interrupt's value under an id; raises `ActionRefused` when the arguments do not fit the action."""
        arguments = self.action.validate_arguments(self.arguments)
        return {
            "action_requests": [
                {"name": self.action.name, "args": arguments, "description": self.summary}
            ],
            "review_configs": [
                {
                    "action_name": self.action.name,
                    "allowed_decisions": list(self.decisions),
                    "args_schema": self.action.argument_schema(),
                }
            ],
            "question": {
                "id": name,
                "digest": self.digest(),
                "kind": self.kind,
                "effect": self.effect,
                "summary": self.summary,
                "evidence": list(self.evidence),
                "consequences": {str(each): text for each, text in self.consequences.items()},
                "fixed": list(self.fixed),
                "cost": self.cost,
                "verdict": dict(self.verdict),
                "terms": dict(self.terms),
                "facts": dict(self.facts),
                "checkpoint_id": checkpoint_id,
            },
        }

    def digest(self) -> str:
        """Return the SHA-256 of the action and its arguments."""
        return self.action.request(self.action.validate_arguments(self.arguments))


class OneDecision(BaseModel):
    """One entry of an answer's `decisions`."""

    model_config = ConfigDict(extra="ignore")

    type: DecisionType
    message: str = ""
    edited_action: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _complete(self) -> OneDecision:
        if self.type == "edit" and not isinstance((self.edited_action or {}).get("args"), dict):
            raise ValueError("an edit needs edited_action with name and args")
        if self.type == "respond" and not self.message.strip():
            raise ValueError("a response needs a message")
        return self


class Answer(BaseModel):
    """An answer in the form that is stored and resumed with."""

    model_config = ConfigDict(extra="ignore")

    decisions: list[OneDecision] = Field(min_length=1, max_length=1)
    digest: str = ""
    by: str = ""

    @model_validator(mode="before")
    @classmethod
    def _accept_older_form(cls, value: Any) -> Any:  # whatever a client sent
        older = isinstance(value, list) and all(isinstance(each, dict) for each in value)
        return _from_human_response(value) if older else value


async def ask_person(runtime: Runtime[Any], question: Question) -> Decision:
    """Stop the run until a person answers, and return the decision.

    LangGraph runs a resumed node from its first line: what stands before this call runs again, and only actions and
    recorded model calls are then answered from the ledger.

    Raises:
        ActionRefused: the arguments do not fit the action, or the policy denies it whatever a person says.
    """
    around, site = around_of(runtime), here()
    approvals, number = around.ports.approvals, _number(question)
    name = _identity(question, site, number)
    for asked in _forms(question):
        found = await approvals.answer(
            _identity(asked, site, number), site=site, digest=question.digest()
        )
        # What was rejected stays so; an approval that did not tell of all is asked for again.
        if found is not None and (asked is question or not _permits(found)):
            known = str(
                found.get("question", _identity(asked, site, number))
            )  # a replay names its own
            return decide(question.payload(known), Answer.model_validate(found))
    payload = (await _judged(question, around, site)).payload(name, site.checkpoint_id)

    def fits(answer: Answer) -> Answer:
        check(payload, answer)
        return answer

    form = cast("type[Answer]", Annotated[Answer, AfterValidator(fits)])
    if isinstance(approvals, InProcess):
        return decide(payload, await approvals.ask(site, payload, form))
    return decide(payload, pause(payload, "its question", response_schema=form))


def _number(question: Question) -> int:
    """Return how often this attempt at the task asked the same of its own accord; an effect is asked about once."""
    return 0 if question.effect else nth(f"question {question.digest()}")


def _identity(question: Question, site: Site, number: int) -> str:
    """Return a name that is the same in each attempt at the task, and no other question's."""
    named = (site.thread_id, site.task, question.kind, question.effect, question.digest(), number)
    return digest((*named, question.beside) if question.beside else named)[:16]


def _forms(question: Question) -> tuple[Question, ...]:
    """Return the forms in which a question may have been asked, the present one first."""
    return (question, replace(question, beside="")) if question.beside else (question,)


def _permits(answer: Mapping[str, Any]) -> bool:  # a stored answer
    return all(each.get("type") in ("approve", "edit") for each in answer.get("decisions", ()))


async def _judged(question: Question, around: Around, site: Site) -> Question:
    """Return the question with the policy's verdict, unless it has one, or asks for no permission."""
    if question.verdict or question.kind != "approval":
        return question
    values = question.action.validate_arguments(question.arguments)
    facts, verdict = await judge(around, question.action, values, site)
    if verdict.ruling == "deny":
        raise ActionRefused(
            f"{question.action.name} is denied by the rule “{verdict.rule}”: {verdict.reason}",
            kind="policy",
            rule=verdict.rule,
        )
    terms = verdict.terms.to_json() if verdict.ruling == "ask" else {}
    return replace(question, verdict=verdict.to_json(), terms=terms, facts=as_json(facts))


def is_ours(question: object) -> TypeGuard[Mapping[str, Any]]:
    """Say whether what a payload holds as `question` was asked by this gate, and not by another application."""
    return isinstance(question, Mapping) and {"id", "digest", "kind"} <= question.keys()


def read_answer(payload: Mapping[str, Any], value: object) -> Answer:
    """Return a valid answer to this payload; raises `AnswerRefused` that says what is wrong with it."""
    try:
        answer = Answer.model_validate(value)
        check(payload, answer)
    except ValidationError as error:
        faults = "; ".join(each["msg"] for each in error.errors())
        raise AnswerRefused(f"The answer does not fit the question: {faults}.") from error
    except ValueError as error:
        raise AnswerRefused(f"The answer does not fit the question: {error}.") from error
    return answer


def check(payload: Mapping[str, Any], answer: Answer) -> None:
    """Raise `ValueError` when an answer is to other arguments, of a kind not offered, or edits to wrong arguments."""
    asked = payload.get("question", {}).get("digest", "")
    if answer.digest and asked and answer.digest != asked:
        raise ValueError(f"it answers question {answer.digest[:12]}, but {asked[:12]} is open")
    decision = answer.decisions[0]
    allowed = payload["review_configs"][0]["allowed_decisions"]
    if decision.type not in allowed:
        raise ValueError(f"{decision.type!r} is not offered here; choose from {', '.join(allowed)}")
    if decision.type == "edit":
        _check_edit(
            payload["action_requests"][0], decision, payload.get("question", {}).get("fixed", [])
        )


def decide(payload: Mapping[str, Any], answer: Answer) -> Decision:
    """Turn a valid answer into a decision."""
    decision = answer.decisions[0]
    edited = (decision.edited_action or {}).get("args") if decision.type == "edit" else None
    return {
        "type": decision.type,
        "arguments": _merged(payload["action_requests"][0], edited or {}),
        "message": decision.message,
        "by": answer.by,
        "question": str(payload.get("question", {}).get("id", "")),
    }


def _merged(request: Mapping[str, Any], edited: Mapping[str, Any]) -> dict[str, Any]:  # JSON
    return {**request["args"], **edited}


def _check_edit(request: Mapping[str, Any], decision: OneDecision, fixed: Sequence[str]) -> None:
    edited = decision.edited_action or {}
    changed = [
        name
        for name in fixed
        if edited["args"].get(name, request["args"][name]) != request["args"][name]
    ]
    if changed:
        raise ValueError(
            f"{', '.join(changed)} may not be changed here; reject it with a reason instead"
        )
    if edited.get("name", request["name"]) != request["name"]:
        raise ValueError(f"an edit may change the arguments of {request['name']}, not the action")
    try:
        find(str(request["name"])).validate_arguments(_merged(request, edited["args"]))
    except ActionRefused as error:
        raise ValueError(str(error)) from error


_OLDER = {"accept": "approve", "ignore": "reject", "response": "respond", "edit": "edit"}


def _from_human_response(value: list[Any]) -> dict[str, Any]:  # whatever a client sent
    decisions = []
    for each in value:
        kind, args = each.get("type"), each.get("args")
        decision: dict[str, Any] = {"type": _OLDER.get(kind, kind)}
        if kind == "edit" and isinstance(args, dict):
            decision["edited_action"] = {"name": args.get("action"), "args": args.get("args")}
        elif isinstance(args, str):
            decision["message"] = args
        decisions.append(decision)
    return {"decisions": decisions}
