from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.corpus import Document
from interlock.core.documents import media
from interlock.core.documents.chunking import LONGEST, Chunk, chunks
from interlock.core.documents.locating import locate
from interlock.core.documents.structure import blocks

SENTENCE = "The quick brown fox jumps over the lazy dog and runs on. "
LINES = [
    "# Top",
    "## Part",
    "text",
    SENTENCE * 9,
    "",
    "",
    "```",
    "    code()",
    "=====",
    "| a | b |",
]
TEXTS = st.one_of(
    st.lists(st.sampled_from(LINES), max_size=60).map("\n".join),
    st.text(st.sampled_from("ab .\n#`-=|\t"), max_size=3_000),
)
KINDS = st.sampled_from([media.MARKDOWN, media.PLAIN, media.RST, media.CODE, media.DATA, media.PDF])


def document(text: str, kind: str = media.MARKDOWN, pages: tuple[int, ...] = ()) -> Document:
    """Make a document of a text."""
    return Document(id="1", source="a", title="A", media=kind, text=text, page_starts=pages)


def cut(text: str, kind: str = media.MARKDOWN) -> list[tuple[str, str]]:
    """Return the heading and the text of each passage."""
    return [(one.heading, text[one.start : one.end]) for one in chunks(document(text, kind))]


def torn(text: str, offset: int) -> bool:
    """Say whether an offset stands inside of a word."""
    return 0 < offset < len(text) and not (text[offset - 1].isspace() or text[offset].isspace())


@given(TEXTS, KINDS)
def test_passages_are_exact_and_in_order(text: str, kind: str) -> None:
    """Passages follow one another without overlap, hold words, and begin and end at their edges."""
    passages = chunks(document(text, kind))

    assert all(one.end <= two.start for one, two in pairwise(passages))
    assert all(text[one.start : one.end].strip() for one in passages)
    assert all(text[one.start : one.end].rstrip() == text[one.start : one.end] for one in passages)


@given(TEXTS, KINDS)
def test_nothing_is_lost(text: str, kind: str) -> None:
    """Each character that is not white space stands in a passage or in a heading."""
    passages = chunks(document(text, kind))
    spans = [(one.start, one.end) for one in passages]
    spans += [(one.start, one.end) for one in blocks(text, kind) if one.kind == "heading"]
    held = {at for start, end in spans for at in range(start, end)}

    assert [text[at] for at in range(len(text)) if at not in held and not text[at].isspace()] == []


@given(TEXTS.filter(lambda text: all(len(word) < LONGEST for word in text.split())), KINDS)
def test_words_stay_whole_and_passages_short(text: str, kind: str) -> None:
    """No edge stands inside of a word, and no passage is much longer than it should be."""
    passages = chunks(document(text, kind))

    assert not any(torn(text, edge) for one in passages for edge in (one.start, one.end))
    assert all(one.end - one.start <= 2 * LONGEST for one in passages)


def test_passages_are_neither_short_nor_long() -> None:
    """A long text is cut at the ends of sentences into passages of 600 to 1,400 characters."""
    passages = cut(SENTENCE * 200)  # 11,400 characters

    assert 9 <= len(passages) <= 19
    assert all(600 <= len(text) <= 1_400 for _, text in passages)
    assert all(text.endswith("on.") for _, text in passages)


def test_paragraphs_share_a_passage() -> None:
    """Short paragraphs below one heading are kept together."""
    assert cut("# Top\n\none\n\ntwo\n\n## Part\n\nthree\n") == [
        ("Top", "one\n\ntwo"),
        ("Top > Part", "three"),
    ]


def test_headings_of_equal_level_follow_each_other() -> None:
    """A heading ends those of its own level and below."""
    text = "# Top\n\n## One\n\na\n\n### Deep\n\nb\n\n## Two\n\nc\n"

    assert [heading for heading, _ in cut(text)] == ["Top > One", "Top > One > Deep", "Top > Two"]


def test_the_title_is_not_repeated() -> None:
    """The document's title does not stand in front of each of its headings."""
    assert [heading for heading, _ in cut("# A\n\nx\n\n## Part\n\ny\n")] == ["A", "Part"]


def test_a_heading_with_nothing_below_is_a_passage() -> None:
    """It can be found all the same."""
    assert cut("# Top\n\n## Empty\n\n## Full\n\ntext\n") == [
        ("Top", "## Empty"),
        ("Top > Full", "text"),
    ]


def test_marks_of_headings_in_code_are_no_headings() -> None:
    """Comments in fences and in code head nothing."""
    fenced = "```\n# comment\n\n# more\n```"

    assert cut(fenced) == [("", fenced)]
    assert cut("# comment\n\nx = 1\n", media.CODE) == [("", "# comment\n\nx = 1")]


def test_definitions_head_code() -> None:
    """A function's passage says which function it is."""
    code = "import os\n\n\ndef first(a):\n    return a\n\n\nclass Second:\n    x = 1\n"

    assert cut(code, media.CODE) == [
        ("", "import os"),
        ("def first(a)", "def first(a):\n    return a"),
        ("class Second", "class Second:\n    x = 1"),
    ]


def test_underlined_headings_are_seen() -> None:
    """Headings of plain text and reStructuredText are known by the line below, nested by mark."""
    text = "Top\n***\n\na\n\nPart\n====\n\nb\n\nNext\n****\n\nc\n"

    assert cut(text, media.PLAIN) == [("Top", "a"), ("Top > Part", "b"), ("Next", "c")]


def test_a_rule_is_no_heading() -> None:
    """A line of signs between paragraphs heads nothing."""
    assert cut("one\n\n-----\n\ntwo\n") == [("", "one\n\n-----\n\ntwo")]


def test_code_and_tables_are_cut_between_lines() -> None:
    """A long fence or table keeps its lines and their indentation."""
    code = "```\n" + "\n".join(f"    call_number({number})" for number in range(200)) + "\n```"
    table = "\n".join(f"| row {number} | value |" for number in range(200))

    for text in (code, table):
        lines = text.split("\n")
        assert [line for _, passage in cut(text) for line in passage.split("\n")] == lines


def test_a_text_without_spaces_is_cut_all_the_same() -> None:
    """Languages that do not part words, and data, give passages of bounded length."""
    assert [len(text) for _, text in cut("字" * 3_000)] == [1_200, 1_800]


def test_lines_are_counted_from_one() -> None:
    """A passage says at which lines it stands."""
    passages = chunks(document("# Top\n\none\ntwo\n\n## Part\n\nthree\n"))

    assert [one.location for one in passages] == [
        {"kind": "line", "first": 3, "last": 4},
        {"kind": "line", "first": 8, "last": 8},
    ]


def test_pages_are_counted_from_one() -> None:
    """In paged media a passage says at which pages it stands."""
    paged = document("one\n\ntwo\n\nthree", media.PDF, pages=(0, 5, 10))

    assert locate(paged, 0, 3) == {"kind": "page", "first": 1, "last": 1}
    assert locate(paged, 5, 15) == {"kind": "page", "first": 2, "last": 3}
    assert locate(paged, 5, 10) == {"kind": "page", "first": 2, "last": 2}


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_nothing_gives_no_passages(text: str) -> None:
    """White space is no passage."""
    assert chunks(document(text)) == list[Chunk]()
