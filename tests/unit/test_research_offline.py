"""The offline rules: what they plan, search, quote, write and criticise."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nodes.research.offline  # noqa: F401 - registers the rules
from interlock.core.corpus import Location, Passage
from interlock.core.offline import OfflineModel
from interlock.core.structured import Request
from nodes.research.offline.criteria import criteria_for, unmet
from nodes.research.offline.criticism import critique
from nodes.research.offline.planning import plan
from nodes.research.offline.reading import extract, judge, query
from nodes.research.offline.sentences import cuts, dangling, plain
from nodes.research.offline.supervision import supervise
from nodes.research.offline.terms import akin, folded, stems, terms
from nodes.research.offline.writing import NOT_EXAMINED, write
from nodes.research.questions import (
    Critique,
    CritiqueRequest,
    Extraction,
    ExtractRequest,
    Judgement,
    JudgeRequest,
    Plan,
    PlanRequest,
    Query,
    QueryRequest,
    Report,
    SuperviseRequest,
    Supervision,
    WriteRequest,
)
from state.research import Draft, Fault, Finding, Outcome, Section, Sentence, Strategy, Task

LEVERS = "How do levers lock, and what moves a signal?"


def _task(question: str = "How do levers lock?", name: str = "levers", *needs: str) -> Task:
    return Task(id=name, question=question, criteria=criteria_for(question), needs=list(needs))


def _passage(
    text: str, *, coverage: float = 1.0, heading: str = "", source: str = "box.txt"
) -> Passage:
    return Passage(
        document=source,
        source=source,
        title="The box",
        heading=heading,
        start=0,
        end=len(text),
        location=Location(kind="line", first=1, last=1),
        text=text,
        score=1.0,
        coverage=coverage,
    )


def _finding(
    claim: str, *, task: str = "levers", line: int = 1, name: str = "", source: str = "box.txt"
) -> Finding:
    return Finding(
        id=name or f"{task}-{claim}",
        task=task,
        claim=claim,
        quote=claim,
        document=source,
        source=source,
        title="The box",
        location=Location(kind="line", first=line, last=line),
    )


def _draft(*sections: tuple[str, list[Finding]]) -> Draft:
    return Draft(
        title="On levers",
        sections=[
            Section(
                heading=heading,
                sentences=[Sentence(text=f["claim"], citations=[f["id"]]) for f in findings],
            )
            for heading, findings in sections
        ],
        unknown=[],
        disagreements=[],
    )


def _write(
    findings: list[Finding], *, draft: Draft | None = None, faults: list[Fault] | None = None
) -> Report:
    tasks = [_task(), _task("What moves a signal?", "signal")]
    return write(
        WriteRequest(
            question=LEVERS,
            plan=tasks,
            findings=findings,
            open_tasks=[],
            draft=draft,
            faults=faults or [],
        )
    )


def _critique(draft: Draft, findings: list[Finding]) -> Critique:
    tasks = [_task(), _task("What moves a signal?", "signal")]
    return critique(
        CritiqueRequest(question=LEVERS, plan=tasks, open_tasks=[], draft=draft, findings=findings)
    )


def _faults(reasons: list[str], by: Literal["critic", "person"] = "critic") -> list[Fault]:
    return [Fault(by=by, kind="revise", sentence="", reason=reason) for reason in reasons]


def _texts(report: Report) -> list[str]:
    return [sentence.text for section in report.sections for sentence in section.sentences]


# --- planning ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is a lever?", ["What is a lever?"]),
        (
            "How do levers lock, what moves a signal, and when is a route set?",
            ["How do levers lock?", "What moves a signal?", "When is a route set?"],
        ),
        (
            "How do levers and signals differ?",
            ["What are levers?", "What are signals?", "How do levers and signals differ?"],
        ),
        (
            "What is the difference between a lever and a slide?",
            [
                "What is a lever?",
                "What is a slide?",
                "What is the difference between a lever and a slide?",
            ],
        ),
        (
            "Compare semaphores with light signals.",
            [
                "What are semaphores?",
                "What are light signals?",
                "Compare semaphores with light signals?",
            ],
        ),
        (
            "What is a lever and how does it lock?",
            ["What is a lever?", "How does a lever lock?"],
        ),
        (
            "Explain levers, signals and routes.",
            ["What are levers?", "What are signals?", "What are routes?"],
        ),
        ("What do levers and signals do?", ["What do levers and signals do?"]),
        ("Levers?", ["Levers?"]),
        (
            "What is a lever, what does the frame lock, and how does a signal lever differ from a lever?",
            [
                "What is a lever?",
                "What does the frame lock?",
                "What is a signal lever?",
                "How does a signal lever differ from a lever?",
            ],
        ),
    ],
)
def test_the_parts_of_a_question_become_tasks(question: str, expected: list[str]) -> None:
    """Conjunctions, comparisons, lists and pronouns are taken apart as a reader would."""
    tasks = plan(PlanRequest(question=question, documents=[])).tasks

    assert [task.question for task in tasks] == expected


def test_a_comparison_needs_both_sides_first() -> None:
    """What compares two things waits for what they are; a pronoun for what it stands for."""
    compared = plan(PlanRequest(question="How do levers and signals differ?", documents=[])).tasks
    pronoun = plan(
        PlanRequest(question="What is a lever and how does it lock?", documents=[])
    ).tasks

    assert compared[2].needs == [compared[0].id, compared[1].id]
    assert pronoun[1].needs == [pronoun[0].id]


def test_a_comparison_needs_what_was_asked_before() -> None:
    """A side of a comparison that has its own question already is needed from there."""
    question = "What is a lever, and how does a signal lever differ from a lever?"
    lever, signal_lever, difference = plan(PlanRequest(question=question, documents=[])).tasks

    assert set(difference.needs) == {lever.id, signal_lever.id}


THINGS = st.sampled_from(["a lever", "levers", "a signal lever", "it", "part 2", "X", "7", "Größe"])
CLAUSES = st.one_of(
    st.builds("what is {}".format, THINGS),
    st.builds("{} vs {}".format, THINGS, THINGS),
    st.builds("compare {} with {}".format, THINGS, THINGS),
    st.builds("how does {} differ from {}".format, THINGS, THINGS),
    st.builds("explain {}, {} and {}".format, THINGS, THINGS, THINGS),
    st.builds("how do they lock {}".format, THINGS),
)
QUESTIONS = st.lists(CLAUSES, min_size=1, max_size=8).flatmap(
    lambda clauses: st.sampled_from([", and ", "? ", "; ", ", ", " or ", "\n"]).map(
        lambda link: link.join(clauses)
    )
)


@given(st.one_of(st.text(min_size=1, max_size=300), QUESTIONS))
@settings(max_examples=300)
def test_any_question_has_a_plan(question: str) -> None:
    """Whatever is asked, in whatever script, the plan is valid and its criteria can be checked."""
    tasks = plan(PlanRequest(question=question, documents=[])).tasks

    assert 1 <= len(tasks) <= 8
    assert len({task.question for task in tasks}) == len(tasks)
    assert all(unmet(task.criteria, []) == task.criteria for task in tasks)


# --- searching and reading ---------------------------------------------------------------------


def _ask(tried: list[str], missing: list[str], strategy: Strategy = "focused") -> str:
    task = _task("How do levers lock signals?")
    request = QueryRequest(
        question=LEVERS, task=task, strategy=strategy, tried=tried, unmet=missing
    )
    return query(request).query


@given(st.one_of(st.text(min_size=3, max_size=300), st.just("What is C?")))
def test_any_task_has_a_query(question: str) -> None:
    """Also a task whose only word is a letter is searched for."""
    request = QueryRequest(
        question=question, task=_task(question), strategy="focused", tried=[], unmet=[]
    )

    assert 2 <= len(query(request).query) <= 300


def test_queries_go_from_the_task_to_what_is_unmet_to_the_whole_question() -> None:
    """A researcher does not repeat a query; the broad strategy begins with the widest."""
    first = _ask([], [])
    second = _ask([first], ["a passage mentions: signals"])
    third = _ask([first, second], ["a passage mentions: signals"])

    assert [first, second, third] == ["levers lock signals", "signals", "levers lock signals moves"]
    assert _ask([], [], "broad") == "levers lock signals moves"


BOX = """The locking of levers
=====================

Levers lock each other by tappets.  A tappet slides
below the lever frame when a lever is pulled. This keeps
the other levers from moving.

    def pull(lever): return lever.lock()

* levers
* tappets, and so on

See also levers.

Changed in version 2: Levers lock faster.
"""


def test_sentences_are_cut_word_for_word_without_code_headings_and_fragments() -> None:
    """What can be quoted are whole sentences, each with the one that its first word points to."""
    found = [cut.quote for cut in cuts(BOX)]

    assert found == [
        "Levers lock each other by tappets.",
        "A tappet slides\nbelow the lever frame when a lever is pulled.",
        "A tappet slides\nbelow the lever frame when a lever is pulled. This keeps\nthe other levers from moving.",
    ]
    assert all(quote in BOX for quote in found)


PIECES = st.one_of(
    st.sampled_from(
        [*BOX.splitlines(), "Two levers.  One lock.", "- It locks *both* of them.", ""]
    ),
    st.text(max_size=20),
)


@given(st.lists(PIECES, max_size=40))
def test_cuts_stand_in_the_text(pieces: list[str]) -> None:
    """Whatever the text, what is cut out of it stands in it, and a sentence by itself is cut out."""
    sentence = "Levers lock each other by tappets."
    text = "\n".join([*pieces, "", "", sentence])
    found = cuts(text)

    assert all(text[cut.start : cut.end] == cut.quote and cut.quote for cut in found)
    assert any(sentence in cut.quote for cut in found)


def test_a_claim_is_its_quotation_on_one_line() -> None:
    """Line ends and marks of emphasis go, words and hyphens stay."""
    assert plain("A *lever* is **not** a pre-\n  selected *args of 2 * 3.") == (
        "A lever is not a pre-selected *args of 2 * 3."
    )


def _extracted(*passages: Passage, question: str = "How do levers lock?") -> Extraction:
    request = ExtractRequest(question=LEVERS, task=_task(question), passages=list(passages))
    return extract(request)


def test_quotations_are_verbatim_and_about_the_task() -> None:
    """Each quotation stands in the passage that it names, and claims nothing else."""
    found = _extracted(_passage("Tea is served at five o'clock."), _passage(BOX)).quotations

    assert found[0].quote == "Levers lock each other by tappets."
    assert {each.passage for each in found} == {1}
    assert all(each.quote in BOX and each.claim == plain(each.quote) for each in found)


@pytest.mark.parametrize("coverage", [0.0, 0.4])
def test_passages_that_do_not_cover_the_query_are_not_quoted(coverage: float) -> None:
    """Where the sources hold too little of the query nothing is quoted, rather than noise."""
    assert _extracted(_passage(BOX, coverage=coverage)).quotations == []


@pytest.mark.parametrize(
    "text",
    ["Routes are set by a signaller every day.", "Levers are painted in three colours here."],
)
def test_a_passage_found_by_other_words_is_not_about_the_task(text: str) -> None:
    """A wide query may be covered by words of the question's other parts; that counts for nothing."""
    assert _extracted(_passage(text), question="How do levers lock derailers?").quotations == []


def test_each_thing_that_a_task_names_has_its_quotations() -> None:
    """A task on two things is not answered by quotations on one of them."""
    kinds = (
        "oak wires, brass tubes, iron bars, steel rods, felt pads, glass eyes, old ropes, new pins"
    )
    text = " ".join(f"Some levers lock {kind} in winter." for kind in kinds.split(", "))
    text += " The men of the line would rather trust their signals on foggy days."
    found = _extracted(_passage(text), question="What do levers and signals lock?").quotations

    assert any("signals" in each.quote for each in found)


def test_criteria_are_met_by_what_is_quoted() -> None:
    """Criteria name words and a number of quotations; the judge checks just these."""
    task = _task("What do levers and signals lock?")
    one, two = _finding("Levers lock the frame."), _finding("Signals lock the line, as levers do.")

    assert judge(JudgeRequest(task=task, findings=[one])).unmet == [
        "a passage mentions: signals",
        "at least two sentences are quoted",
    ]
    assert judge(JudgeRequest(task=task, findings=[one, two])).unmet == []


# --- supervising -------------------------------------------------------------------------------


def _supervise(status: Literal["met", "partial"], queries: list[str]) -> Supervision:
    outcome = Outcome(
        task="levers",
        status=status,
        attempts=1,
        strategy="focused",
        queries=queries,
        unmet=[],
        reason="",
    )
    return supervise(
        SuperviseRequest(
            question="How do levers lock derailers?",
            plan=[_task("How do levers lock derailers?")],
            outcomes=[outcome],
            findings=[_finding("Levers lock by tappets.")],
            faults=[],
            rounds_left=1,
        )
    )


def test_a_word_in_no_quotation_is_looked_for_alone() -> None:
    """The supervisor gives out a task for what an unanswered part named and nobody searched for."""
    found = _supervise("partial", ["levers lock derailers"])

    assert found.missing == "No quotation mentions: derailers."
    assert [task.question for task in found.tasks] == ["What do the sources say about derailers?"]


def test_nothing_is_looked_for_twice_or_without_need() -> None:
    """A word that was searched for alone, or whose task is met, is no gap."""
    assert _supervise("partial", ["levers lock derailers", "derailer"]).tasks == []
    assert _supervise("met", ["levers lock derailers"]).tasks == []


# --- writing and criticising -------------------------------------------------------------------

LOCK = [
    _finding("Levers lock each other by tappets that slide below.", line=9),
    _finding("A lever locks when its tappet slides into a notch.", line=3),
    _finding("Locked levers cannot be pulled by the signaller.", line=5),
]
MOVE = [_finding("A wire moves the signal from the lever frame.", task="signal", line=2)]


def test_a_first_draft_orders_all_quotations() -> None:
    """The best quotation of a task opens the report; the rest follow as they stand in the source."""
    report = _write([*LOCK, *MOVE])

    assert [section.heading for section in report.sections] == [
        "In short",
        "How do levers lock?",
        "What moves a signal?",
    ]
    assert _texts(report) == [
        LOCK[0]["claim"],
        LOCK[1]["claim"],
        LOCK[2]["claim"],
        MOVE[0]["claim"],
    ]
    assert report.unknown == [NOT_EXAMINED]


def test_a_sound_draft_is_accepted() -> None:
    """The critic has no reason where there is none."""
    draft = _draft(("How do levers lock?", LOCK), ("What moves a signal?", MOVE))

    assert _critique(draft, [*LOCK, *MOVE]) == Critique(verdict="accept", reasons=[])


def test_repetitions_are_found_and_taken_out() -> None:
    """The same sentence for two tasks is said once, where it belongs best."""
    again = _finding(LOCK[0]["claim"], task="signal", name="again")
    draft = _draft(("What moves a signal?", [*MOVE, again]), ("How do levers lock?", LOCK))
    found = _critique(draft, [*LOCK, *MOVE, again])
    mended = _write([*LOCK, *MOVE, again], draft=draft, faults=_faults(found.reasons))

    assert found.reasons == [f"Said twice: “{LOCK[0]['claim']}”"]
    assert [len(section.sentences) for section in mended.sections] == [1, 3]


def test_a_sentence_inside_another_is_a_repetition() -> None:
    """A quotation that a longer one holds is dropped, and the longer one stays."""
    longer = _finding(f"{LOCK[0]['claim']} So says the book.", task="signal", name="longer")
    draft = _draft(("How do levers lock?", LOCK), ("What moves a signal?", [longer]))
    mended = _write(
        [*LOCK, longer], draft=draft, faults=_faults(_critique(draft, [*LOCK, longer]).reasons)
    )

    assert _texts(mended) == [LOCK[1]["claim"], LOCK[2]["claim"], longer["claim"]]


def test_a_sentence_that_points_nowhere_is_dropped() -> None:
    """A sentence that begins with "This" needs the one before it, as in the source."""
    loose = _finding("This locks the lever for good.", line=4, name="loose")
    alone = _draft(("How do levers lock?", [loose, *LOCK]), ("What moves a signal?", MOVE))
    led = _draft(("How do levers lock?", [LOCK[1], loose]), ("What moves a signal?", MOVE))
    findings = [*LOCK, *MOVE, loose]
    found = _critique(alone, findings)

    assert found.reasons == [
        "Begins with “This”, and nothing before it says what is meant: “This locks the lever for good.”"
    ]
    assert loose["claim"] not in _texts(
        _write(findings, draft=alone, faults=_faults(found.reasons))
    )
    assert _critique(led, findings).verdict == "accept"


def test_a_stranger_is_sent_out_of_its_section() -> None:
    """A sentence that has no word of its heading and the question does not belong there."""
    tea = _finding("Tea is served at five.", name="tea")
    draft = _draft(("How do levers lock?", [*LOCK, tea]), ("What moves a signal?", MOVE))
    found = _critique(draft, [*LOCK, *MOVE, tea])

    assert found.reasons == [
        "Does not belong under “How do levers lock?”: “Tea is served at five.”"
    ]
    assert "Tea is served at five." not in _texts(
        _write([*LOCK, *MOVE, tea], draft=draft, faults=_faults(found.reasons))
    )


def test_a_long_section_keeps_what_researchers_put_first() -> None:
    """Of a section that is too long the five best stay, in their order."""
    kinds = ["tappets", "wires", "catches", "notches", "springs", "magnets", "relays", "screws"]
    many = [_finding(f"Some levers lock with {each}.", name=each) for each in kinds]
    draft = _draft(("How do levers lock?", [*reversed(many)]), ("What moves a signal?", MOVE))
    found = _critique(draft, [*many, *MOVE])
    mended = _write([*many, *MOVE], draft=draft, faults=_faults(found.reasons))

    assert found.reasons == [
        "The section “How do levers lock?” has 8 sentences; keep the 5 that say most about it."
    ]
    assert _texts(mended)[:5] == [each["claim"] for each in reversed(many[:5])]


def test_a_part_that_was_left_out_is_added() -> None:
    """Where quotations were found for a task, its section must be there."""
    draft = _draft(("How do levers lock?", LOCK))
    found = _critique(draft, [*LOCK, *MOVE])
    mended = _write([*LOCK, *MOVE], draft=draft, faults=_faults(found.reasons))

    assert found.reasons == [
        "Nothing answers “What moves a signal?”, though quotations were found."
    ]
    assert mended.sections[-1].heading == "What moves a signal?"


def test_sentences_that_the_verifier_faults_are_dropped() -> None:
    """The writer does not defend what is not in the sources."""
    draft = _draft(("How do levers lock?", LOCK))
    fault = Fault(by="verifier", kind="unrelated", sentence=LOCK[1]["claim"], reason="It is not.")

    assert _texts(_write(LOCK, draft=draft, faults=[fault])) == [LOCK[0]["claim"], LOCK[2]["claim"]]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("Please leave out the tappets.", [LOCK[2]["claim"]]),
        ("Say more about the wire.", [*(each["claim"] for each in LOCK), MOVE[0]["claim"]]),
        ("Too long, make it shorter.", [each["claim"] for each in LOCK]),
    ],
)
def test_a_person_is_obeyed_as_far_as_rules_can(wish: str, expected: list[str]) -> None:
    """Leaving out, adding and shortening are understood."""
    draft = _draft(("How do levers lock?", LOCK))
    report = _write([*LOCK, *MOVE], draft=draft, faults=_faults([wish], by="person"))

    assert _texts(report) == expected


def test_a_wish_beyond_rules_is_reported_and_not_ignored() -> None:
    """What rules cannot do stands in the report as asked and not done."""
    draft = _draft(("How do levers lock?", LOCK))
    report = _write(LOCK, draft=draft, faults=_faults(["Be more poetic."], by="person"))

    assert report.unknown[0] == "Asked by the reviewer, and beyond rules: “Be more poetic.”"


def test_differing_numbers_are_a_disagreement() -> None:
    """Two documents that say the same with other numbers disagree; one document does not with itself."""
    here = _finding("The frame has 20 levers for signals.", name="a")
    there = _finding("The frame has 24 levers for signals.", name="b", source="other.txt")
    same = _finding("The frame has 22 levers for signals.", name="c")

    assert _write([here, there]).disagreements == [
        "box.txt: “The frame has 20 levers for signals.” — other.txt: “The frame has 24 levers for signals.”"
    ]
    assert _write([here, same]).disagreements == []


# --- words -------------------------------------------------------------------------------------


def test_words_of_asking_are_no_terms() -> None:
    """What a question is about stays; how it asks goes, unless there is nothing else."""
    assert list(terms("Explain the difference between a lever and a slide").values()) == [
        "lever",
        "slide",
    ]
    assert list(terms("What does it mean?").values()) == ["mean"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("raise", "raised"), ("class", "classes"), ("closing", "closed"), ("query", "queries")],
)
def test_forms_of_a_word_are_one(one: str, other: str) -> None:
    """Number and tense do not matter."""
    assert folded(one) == folded(other)


def test_kin_are_recognised_and_strangers_are_not() -> None:
    """A generator is not generic, and what is imported is not important."""
    assert akin(folded("resolve"), folded("resolution"))
    assert akin(folded("inherit"), folded("inheritance"))
    assert not akin(folded("generator"), folded("generic"))
    assert not akin(folded("import"), folded("important"))
    assert "gener" not in stems("generators are generally generic")


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("This locks it.", "This"),
        ("(It is locked.)", "It"),
        ("For example, a lever.", "For example"),
        ("There is a lever.", None),
        ("Thistles grow here.", None),
    ],
)
def test_dangling_words_are_recognised(sentence: str, expected: str | None) -> None:
    """Words that point back are named, so that a person can see them."""
    assert dangling(sentence) == expected


# --- the model ---------------------------------------------------------------------------------

EACH: list[tuple[Request, type]] = [
    (PlanRequest(question=LEVERS, documents=[]), Plan),
    (
        QueryRequest(question=LEVERS, task=_task(), strategy="broad", tried=[], unmet=[]),
        Query,
    ),
    (ExtractRequest(question=LEVERS, task=_task(), passages=[_passage(BOX)]), Extraction),
    (JudgeRequest(task=_task(), findings=LOCK), Judgement),
    (
        SuperviseRequest(
            question=LEVERS, plan=[_task()], outcomes=[], findings=LOCK, faults=[], rounds_left=2
        ),
        Supervision,
    ),
    (
        WriteRequest(
            question=LEVERS, plan=[_task()], findings=LOCK, open_tasks=[], draft=None, faults=[]
        ),
        Report,
    ),
    (
        CritiqueRequest(
            question=LEVERS,
            plan=[_task()],
            open_tasks=[],
            draft=_draft(("How do levers lock?", LOCK)),
            findings=LOCK,
        ),
        Critique,
    ),
]


@pytest.mark.parametrize(("request_", "reply"), EACH, ids=[reply.__name__ for _, reply in EACH])
async def test_the_offline_model_plays_each_role(request_: Request, reply: type[Plan]) -> None:
    """Each request of the research team has a rule, and its answer fits the reply."""
    message = await OfflineModel.named("extractive").ainvoke([], request=request_, reply=reply)

    assert isinstance(reply.model_validate_json(str(message.content)), reply)
