"""The planner: a question's parts become tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count

from interlock.core.offline import rule
from nodes.research.offline.criteria import criteria_for
from nodes.research.offline.terms import subject, terms
from nodes.research.questions import MAX_TASKS, Plan, PlannedTask, PlanRequest

_SENTENCES = re.compile(r"(?<=[?!;.])\s+")
_CLAUSES = re.compile(
    r"(?:,\s*(?:and\s+|or\s+|but\s+)?(?=(?:how|what|when|where|why)\b)"
    r"|,?\s+(?:and|or|but)\s+(?=(?:how|what|when|where|why|which|who|whose|does|do|is|are|can)\b))",
    re.IGNORECASE,
)
_COMPARED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"^(?:compare|contrast)\s+(?P<a>.+?)\s+(?:and|with|to|against)\s+(?P<b>.+)$",
        r"\bdifferences?\s+between\s+(?P<a>.+?)\s+and\s+(?P<b>.+)$",
        r"^how\s+(?:do|does|are|is)\s+(?P<a>.+?)\s+(?:and|from)\s+(?P<b>.+?)\s+(?:differ|different|compare)\b",
        r"^how\s+(?:do|does|are|is)\s+(?P<a>.+?)\s+(?:differ|different)\s+from\s+(?P<b>.+)$",
        r"^(?:what\s+is\s+)?(?P<a>.+?)\s+(?:versus|vs\.?)\s+(?P<b>.+)$",
    )
)
_LISTED = re.compile(
    r"^(?:(?:what|who)\s+(?:is|are)|explain|describe|list|summari[sz]e|outline|(?:tell|show)\s+me\s+about)\s+"
    r"(?P<items>(?:[^\s,]+(?:\s[^\s,]+){0,3},\s*)*[^\s,]+(?:\s[^\s,]+){0,3}?,?\s+and\s+[^\s,]+(?:\s[^\s,]+){0,3})$",
    re.IGNORECASE,
)
_PRONOUN = re.compile(r"\b(?:it|its|they|their|them|this|these|those)\b", re.IGNORECASE)
_WHAT_IS = re.compile(r"^(?:what|who)\s+(?:is|are|was|were)\s+(?P<subject>.+)$", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:a|an|the)\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the question; `needs` are the questions of parts that must be known before."""

    question: str
    needs: tuple[str, ...] = ()


@rule(PlanRequest, Plan)
def plan(request: PlanRequest) -> Plan:
    """Split the question at its conjunctions and question words; each part is a task."""
    parts = _parts(request.question)[:MAX_TASKS]
    questions = [part.question for part in parts]
    names = dict(zip(questions, _names(questions), strict=True))
    return Plan(
        tasks=[
            PlannedTask(
                id=names[part.question],
                question=part.question,
                criteria=criteria_for(part.question),
                needs=[names[needed] for needed in part.needs],
            )
            for part in parts
        ]
    )


def task_about(words: Sequence[str], taken: Iterable[str]) -> PlannedTask:
    """Return a task that asks for words that nothing was found on."""
    question = f"What do the sources say about {_listed(words)}?"
    name = _names((question,), taken)[0]
    return PlannedTask(id=name, question=question, criteria=criteria_for(question), needs=[])


def parts_of(question: str) -> list[str]:
    """Return the questions that a question consists of."""
    return [part.question for part in _parts(question)]


def _parts(question: str) -> list[_Part]:
    """Return the parts, each once and after the parts that it needs."""
    parts: dict[str, _Part] = {}
    for clause in _clauses(question):
        for part in _split(clause, list(parts)):
            parts.setdefault(part.question, part)
    return list(parts.values()) or [_Part(_asked(question))]


def _clauses(question: str) -> Iterator[str]:
    for sentence in _SENTENCES.split(" ".join(question.split())):
        for clause in _CLAUSES.split(sentence):
            if terms(clause := clause.strip(" ,;.?!")):
                yield clause


def _split(clause: str, before: Sequence[str]) -> list[_Part]:
    """Return the parts of one clause that comes after other questions."""
    if compared := _compared(clause):
        things = tuple(dict.fromkeys(map(_what_is, compared)))
        return [*map(_Part, things), _Part(_asked(clause), things)]
    if items := _listed_in(clause):
        return [_Part(_what_is(item)) for item in items]
    if before and _PRONOUN.search(clause):
        return [_Part(_asked(_resolved(clause, before[-1])), (before[-1],))]
    return [_Part(_asked(clause))]


def _compared(clause: str) -> tuple[str, str] | None:
    found = next((match for each in _COMPARED if (match := each.search(clause))), None)
    return (found["a"], found["b"]) if found and _short(found["a"], found["b"]) else None


def _listed_in(clause: str) -> list[str]:
    """Return the things that a question asks for one after the other, as in "What are A, B and C?"."""
    listed = _LISTED.match(clause)
    items = re.split(r",\s*(?:and\s+)?|\s+and\s+", listed["items"]) if listed else []
    return items if all(map(subject, items)) else []


def _short(*names: str) -> bool:
    return all(len(name.split()) <= 6 and subject(name) for name in names)


def _resolved(clause: str, before: str) -> str:
    """Put what the part before asks about in the place of a pronoun."""
    named = _WHAT_IS.match(before.rstrip("?"))
    subject = named["subject"] if named else " ".join(list(terms(before).values())[:3])
    possessive = re.sub(r"\b(?:its|their)\b", f"{subject}'s", clause, count=1, flags=re.IGNORECASE)
    return possessive if possessive != clause else _PRONOUN.sub(subject, clause, count=1)


def _what_is(item: str) -> str:
    """Ask for a thing; what it is called decides between `is` and `are`."""
    name = item.strip()
    head = _ARTICLE.sub("", name).split()[-1]
    plural = head.endswith("s") and not head.endswith(("ss", "us", "is")) and head == head.lower()
    return f"What {'are' if plural and not _ARTICLE.match(name) else 'is'} {name}?"


def _asked(clause: str) -> str:
    text = clause.strip(" ,;.?!")
    if len(text) < 2:
        return f"What do the sources say about {text}?" if text else "What do the sources say?"
    return f"{text[:1].upper()}{text[1:]}?"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _names(questions: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Name tasks after the first words that matter in them; each name once."""
    names: list[str] = []
    used = set(taken)
    for number, question in enumerate(questions, start=1):
        words = (word.lower() for word in terms(question).values())
        plain = [word for word in words if re.fullmatch(r"[a-z0-9]{2,20}", word)][:2]
        name = "-".join(plain)[:26].strip("-") or f"part-{number}"
        numbered = (f"{name}-{again}" for again in count(2))
        names.append(next(each for each in chain((name,), numbered) if each not in used))
        used.add(names[-1])
    return names
