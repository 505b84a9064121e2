"""The deterministic verifier: each fault is caught, and sound drafts pass."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.corpus import Document, Location
from nodes.research.checks import check_draft, without_faults
from nodes.research.numbers import number_values, stated_numbers
from nodes.research.verbatim import stands_in
from state.research import Draft, Fault, Finding, Sentence

BRIDGE = Document(
    id="d1",
    source="bridge.txt",
    title="The bridge",
    media="text/plain",
    text=(
        "The bridge opened in 1932.\n"
        "It cost 1,250,000 pounds and is\n"
        "503.5 metres long.\n"
        "Two hinges carry the arch, and the inter-\n"
        "locking of its lev-\n"
        "ers is mechanical.\n"
    ),
)
TALK = Document(
    id="d2",
    source="talk.pdf",
    title="A talk",
    media="application/pdf",
    text="Page one says little.\n\nThe second page is ﬁnal: “no” means no.",
    page_starts=(0, 23),
)
TEXTS = {"d1": BRIDGE, "d2": TALK}
OPENED = "The bridge opened in 1932."


def _finding(
    quote: str, first: int, last: int | None = None, *, of: Document = BRIDGE, name: str = "f1"
) -> Finding:
    kind = "page" if of.page_starts else "line"
    return Finding(
        id=name,
        task="t1",
        claim=quote,
        quote=quote,
        document=of.id,
        source=of.source,
        title=of.title,
        location=Location(kind=kind, first=first, last=last or first),  # type: ignore[typeddict-item] # one of two literals
    )


def _draft(*sentences: Sentence) -> Draft:
    sections = [{"heading": "The bridge", "sentences": list(sentences)}]
    return Draft(title="On it", sections=sections, unknown=[], disagreements=[])  # type: ignore[typeddict-item] # a literal dict is a Section


def _said(text: str, *citations: str) -> Sentence:
    return Sentence(text=text, citations=list(citations))


def _kinds(text: str, *findings: Finding) -> list[str]:
    draft = _draft(_said(text, *(finding["id"] for finding in findings)))
    return [fault["kind"] for fault in check_draft(draft, findings, TEXTS)]


def test_a_sound_draft_has_no_faults() -> None:
    """Quotations in their place, and numbers that they hold, pass."""
    assert _kinds("The bridge opened in 1932.", _finding(OPENED, 1)) == []


def test_a_planted_false_quotation_is_caught() -> None:
    """A quotation that no document holds is a fault that names it and its source."""
    draft = _draft(_said("The bridge opened.", "f1"))
    faults = check_draft(draft, [_finding("The bridge never opened.", 1)], TEXTS)

    assert faults == [
        Fault(
            by="verifier",
            kind="quotation_not_found",
            sentence="The bridge opened.",
            reason="The quotation “The bridge never opened.” does not stand in bridge.txt.",
        )
    ]


def test_a_citation_to_a_missing_page_is_caught() -> None:
    """A page that the document does not have is a fault of its own, told with what it has."""
    finding = _finding("Page one says little.", 7, of=TALK)
    faults = check_draft(_draft(_said("It says little.", "f1")), [finding], TEXTS)

    assert [(fault["kind"], fault["reason"]) for fault in faults] == [
        ("missing_location", "It cites page 7 of talk.pdf, which has 2 pages.")
    ]


def test_a_number_that_is_not_in_its_source_is_caught() -> None:
    """A number that the quotations do not hold is a fault that names the number."""
    draft = _draft(_said("The bridge opened in 1923.", "f1"))
    faults = check_draft(draft, [_finding(OPENED, 1)], TEXTS)

    assert [(fault["kind"], fault["reason"]) for fault in faults] == [
        (
            "number_without_source",
            "The number '1923' is in none of the quotations that it cites.",
        )
    ]


def test_a_quotation_elsewhere_in_its_document_has_the_wrong_location() -> None:
    """Lines that do not hold the quotation are a fault, though other lines do."""
    assert _kinds("The bridge opened in 1932.", _finding(OPENED, 3)) == ["wrong_location"]


@pytest.mark.parametrize(("first", "last"), [(0, 1), (2, 1), (8, 8), (1, 99)])
def test_lines_that_do_not_exist_are_missing(first: int, last: int) -> None:
    """A line before the first, after the last, or a reversed range is no place."""
    finding = {**_finding(OPENED, 1), "location": Location(kind="line", first=first, last=last)}

    assert _kinds("The bridge opened in 1932.", finding) == ["missing_location"]  # type: ignore[arg-type] # a merged Finding


def test_a_page_of_a_document_without_pages_is_missing() -> None:
    """A page cannot be cited where only lines are known."""
    finding = {**_finding(OPENED, 1), "location": Location(kind="page", first=1, last=1)}

    assert _kinds("The bridge opened in 1932.", finding) == ["missing_location"]  # type: ignore[arg-type] # a merged Finding


def test_an_unknown_finding_and_an_unknown_document_are_faults() -> None:
    """A citation resolves to a finding, and the finding to a document."""
    stray = {**_finding(OPENED, 1), "document": "d9"}
    draft = _draft(_said("The bridge opened.", "f9"), _said("It opened.", "f1"))
    faults = check_draft(draft, [stray], TEXTS)  # type: ignore[list-item] # a merged Finding

    assert [fault["kind"] for fault in faults] == ["unknown_citation", "unknown_document"]


def test_a_sentence_without_support_is_a_fault() -> None:
    """A sentence cites something."""
    assert _kinds("The bridge is beautiful.") == ["no_citation"]


def test_a_sentence_about_something_else_is_unrelated() -> None:
    """A sentence has a content word in common with what it cites; stop words do not count."""
    assert _kinds("Bananas are yellow in it.", _finding(OPENED, 1)) == ["unrelated"]


def test_all_faults_of_a_sentence_are_reported() -> None:
    """The writer learns everything at once."""
    found = _kinds("Bananas cost 7 euros.", _finding("The bridge closed in 1931.", 1))

    assert found == ["quotation_not_found", "number_without_source", "unrelated"]


def test_quotations_across_lines_and_pages_are_found() -> None:
    """Line ends, hyphens at them, ligatures and curly quotes are typesetting."""
    long = _finding("It cost 1,250,000 pounds and is 503.5 metres long.", 2, 3)
    levers = _finding("the interlocking of its levers is mechanical", 4, 6, name="f2")
    final = _finding('The second page is final: "no" means no.', 2, of=TALK, name="f3")

    assert _kinds("It cost 1250000 pounds; interlocking levers; final.", long, levers, final) == []


def test_sentences_with_faults_are_dropped_with_sections_that_they_empty() -> None:
    """What stays is the draft without them; the draft that was given is not changed."""
    good, bad = _said("The bridge opened.", "f1"), _said("It is red.", "f9")
    draft = _draft(good, bad)
    draft["sections"].append({"heading": "Colour", "sentences": [bad]})
    fault = Fault(by="verifier", kind="unknown_citation", sentence="It is red.", reason="No f9.")

    assert without_faults(draft, [fault])["sections"] == [
        {"heading": "The bridge", "sentences": [good]}
    ]
    assert len(draft["sections"]) == 2


@pytest.mark.parametrize(
    ("sentence", "quote"),
    [
        ("It cost 1000 pounds.", "It cost 1,000 pounds."),
        ("About 2,500,000 people.", "some 2.5 million people"),
        ("Three rules apply.", "3 rules"),
        ("It fell by 4 percent.", "It fell by 4%."),
        ("Twenty-one cases.", "21 cases"),
        ("It was \u22125 degrees.", "-5 degrees"),
        ("1. The lever moves.", "The lever moves."),
        ("(2) The lever moves [3].", "The lever moves."),
        ("One of the levers moves.", "A lever moves."),
        ("Between 10 and 20.", "10-20"),
        ("The 3rd lever.", "lever 3"),
        ("On 15 January 2024.", "2024-01-15"),
        ("A mask of 0xFF.", "0xff"),
        ("Version 3.10 has it.", "since 3.10."),
    ],
)
def test_numbers_that_agree(sentence: str, quote: str) -> None:
    """The same number may be written in another way; list marks and "one" state no number."""
    assert {number.value for number in stated_numbers(sentence)} <= number_values(quote)


@pytest.mark.parametrize(
    ("sentence", "quote"),
    [
        ("It cost 1000 pounds.", "It cost 1.000 pounds."),
        ("Version 3.1 has it.", "Version 3.10 has it."),
        ("It was 5 degrees.", "It was -5 degrees."),
        ("Two rules apply.", "The rules apply."),
        ("It rose by 12%.", "It rose by 1 or 2%."),
        ("2 thousand people.", "2 people"),
        ("In 1932.", "In 19 of 32."),
        ("Version 3.11.2.", "Version 3.11."),
        ("It has 12,5 parts.", "It has 125 parts."),
    ],
)
def test_numbers_that_differ(sentence: str, quote: str) -> None:
    """Another sign, size, version or separator is another number."""
    assert not {number.value for number in stated_numbers(sentence)} <= number_values(quote)


@pytest.mark.parametrize(
    ("quote", "text"),
    [
        ("non-virtual base", "a non-\nvirtual base class"),
        ("nonvirtual base", "a non-\nvirtual base class"),
        ("pre- and postfix", "pre- and postfix"),
        ("pre- and postfix", "pre-  and\npostfix"),
        ("soft hyphen", "a so\u00adft hy\u00ad\nphen"),
        ("it's 'so'", "it\u2019s \u2018so\u2019"),
        ("café", "cafe\u0301 au lait"),
        ("and so on...", "and so on\u2026"),
        ("a b", "a\u200b\u00a0b"),
    ],
)
def test_typesetting_does_not_matter(quote: str, text: str) -> None:
    """Hyphens at line ends, spaces, ligatures and the shape of quotation marks are not words."""
    assert stands_in(quote, text)


@pytest.mark.parametrize(
    ("quote", "text"),
    [
        ("resign", "to re-sign it"),
        ("re-sign", "to resign"),
        ("The Bridge", "the bridge"),
        ("can", "ca n"),
        ("x2", "x²"),
        ("34", "3-\n4"),
        ("a not b", "a b"),
        ("", "anything"),
        (" - ", "a - b"),
        ("preand post", "pre- and post"),
    ],
)
def test_words_do_matter(quote: str, text: str) -> None:
    """Case, hyphens inside a line, digits and spaces between words are the author's."""
    assert not stands_in(quote, text)


WORDS = st.lists(st.text(string.ascii_letters, min_size=1, max_size=9), min_size=4, max_size=40)
BETWEEN = st.sampled_from((" ", "\n", "  ", "-\n", "-\n   ", ", ", ".\n\n", " - ", "-", "- "))


@st.composite
def _text_and_cut(draw: st.DrawFn) -> tuple[str, str]:
    words = draw(WORDS)
    text = words[0] + "".join(draw(BETWEEN) + word for word in words[1:])
    start = draw(st.integers(0, len(text) - 1))
    end = draw(st.integers(start + 1, len(text)))
    return text, text[start:end]


@given(_text_and_cut(), st.sampled_from((" ", "\n", "\n    ")))
def test_a_piece_cut_at_any_place_is_found(cut: tuple[str, str], space: str) -> None:
    """Any piece with a letter is found, also when its white space is set anew."""
    text, piece = cut
    reset = space.join(piece.split())

    assert stands_in(reset, text) == any(map(str.isalpha, piece))


@given(_text_and_cut(), st.data())
def test_a_piece_with_one_letter_changed_is_not_found(
    cut: tuple[str, str], data: st.DataObject
) -> None:
    """A letter that the text does not have makes another quotation."""
    text, piece = cut
    letters = [at for at, letter in enumerate(piece) if letter.isalpha()]
    if letters:
        at = data.draw(st.sampled_from(letters))
        assert not stands_in(f"{piece[:at]}é{piece[at + 1 :]}", text)
