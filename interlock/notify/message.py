"""What a notification says: the question, and the commands that answer it; nothing else of the state."""

from __future__ import annotations

import json
from typing import Any

from interlock.core.questions import OpenQuestion
from interlock.postgres.outbox import Notice
from interlock.wording import ID_LENGTH

VERSION = 1
"""Of the JSON document; a field may be added, none is renamed."""

LINE_LENGTH = 1_000
SLACK_TEXT = 2_900
"""Characters of one text block; Slack refuses more than 3,000 (https://docs.slack.dev/reference/block-kit/blocks)."""


def headline(notice: Notice) -> str:
    """Return one line that says what happened."""
    question = notice.question
    what = question.action or question.node
    said = {
        "asked": f"Approval needed: {what}",
        "reminded": f"Still waiting for an answer: {what}",
        "escalated": f"Escalated, still waiting for an answer: {what}",
        "expired": f"Nobody answered in time, {_past(question.default)}: {what}",
        "answered": f"Answered by {notice.who or 'somebody'}, {_past(_decision(notice))}: {what}",
    }
    return one_line(said.get(notice.event, f"{notice.event}: {what}"), 150)


def lines(notice: Notice) -> list[str]:
    """Return what a person can decide by, a fact a line."""
    question = notice.question
    facts = [question.summary]
    facts += [f"• {each}" for each in question.evidence]
    told = question.arguments or question.details
    facts += [f"{key} = {_shown(value)}" for key, value in told.items()]
    if question.cost is not None:
        facts.append(f"Cost: ${question.cost:,.2f}")
    facts += _conditions(notice)
    return [one_line(each, LINE_LENGTH) for each in facts]


def text(notice: Notice) -> str:
    """Return the whole message as plain text."""
    parts = ["\n".join(lines(notice))]
    if given := commands_for(notice):
        parts.append("\n".join(given))
    parts.append(f"Question {notice.question.id}, thread {notice.question.thread_id}")
    return "\n\n".join(parts)


def document(notice: Notice) -> dict[str, Any]:
    """Return the JSON document that a webhook is sent."""
    question = notice.question
    return {
        "version": VERSION,
        "id": notice.id,
        "event": notice.event,
        "at": notice.at.isoformat(),
        "who": notice.who,
        "decision": _decision(notice),
        "headline": headline(notice),
        "question": {
            "id": question.id,
            "status": question.status,
            "thread_id": question.thread_id,
            "graph": question.graph,
            "action": question.action,
            "summary": question.summary,
            "arguments": dict(question.arguments),
            "details": dict(question.details),
            "digest": question.request,
            "cost": question.cost,
            "evidence": question.evidence,
            "decisions": question.decisions,
            "assignees": list(question.assignees),
            "needed": question.needed,
            "agreed": [each.by for each in question.votes],
            "deadline": question.deadline.isoformat() if question.deadline else None,
            "default": question.default,
        },
        "commands": commands_for(notice),
    }


def slack(notice: Notice) -> dict[str, Any]:
    """Return the message in the form of Slack's incoming webhooks, which others take too."""
    blocks = [_section(f"*{_escaped(headline(notice))}*")]
    blocks.append(_section(_escaped("\n".join(lines(notice)))))
    if given := commands_for(notice):
        blocks.append(_section("```" + _escaped("\n".join(given)) + "```"))
    return {"text": _escaped(headline(notice)), "blocks": blocks}


def commands_for(notice: Notice) -> list[str]:
    """Return the commands that answer, and none where there is nothing to answer any more."""
    question = notice.question
    return commands(question) if question.status == "open" and not question.expired else []


def commands(question: OpenQuestion) -> list[str]:
    """Return the commands that answer a question; after an edit an approval names what it approves."""
    start, name = "interlock approvals", question.id[:ID_LENGTH]
    if not question.action:
        return [f"{start} answer {name} --value …"]
    named = "" if question.proposed is None else f" --digest {question.request[:ID_LENGTH]}"
    forms = {
        "approve": f"{start} approve {name}{named}",
        "edit": f"{start} edit {name}{named} --set {next(iter(question.arguments), 'key')}=…",
        "reject": f"{start} reject {name} --reason …",
        "respond": f"{start} respond {name} --message …",
    }
    return [forms[each] for each in question.decisions if each in forms]


def one_line(value: str, length: int) -> str:
    """Return a text on one line, cut with an ellipsis when it is longer."""
    line = " ".join(value.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def _conditions(notice: Notice) -> list[str]:
    question = notice.question
    told = []
    if question.assignees:
        told.append(f"May answer: {', '.join(question.assignees)}")
    if question.needed > 1:
        agreed = ", ".join(each.by for each in question.votes) or "nobody"
        told.append(f"{question.needed} people must agree; so far: {agreed}")
    if question.deadline is not None:
        told.append(
            f"Deadline: {question.deadline:%Y-%m-%d %H:%M %Z}; then it is {_past(question.default)}"
        )
    return told


def _decision(notice: Notice) -> str:
    return str(notice.detail.get("decision", "")) if notice.who else ""


def _past(decision: str) -> str:
    words = {"approve": "approved", "edit": "approved with changes", "reject": "rejected"}
    return words.get(decision, "answered")


def _shown(value: Any) -> str:  # an argument, as JSON
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _section(words: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": words[:SLACK_TEXT]}}


def _escaped(words: str) -> str:
    """Escape the three characters that Slack reads as control, so that no text becomes a mention or a link."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
