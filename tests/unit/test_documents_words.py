import pytest

from interlock.core.documents.words import coverage, lexemes, query_lexemes, rarity, stem, weigh


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("caresses", "caress"),
        ("ponies", "poni"),
        ("cats", "cat"),
        ("feed", "feed"),
        ("agreed", "agre"),
        ("plastered", "plaster"),
        ("motoring", "motor"),
        ("sing", "sing"),
        ("conflated", "conflat"),
        ("hopping", "hop"),
        ("falling", "fall"),
        ("filing", "file"),
        ("happy", "happi"),
        ("sky", "sky"),
        ("relational", "relat"),
        ("generalizations", "gener"),
        ("oscillators", "oscil"),
        ("electrical", "electr"),
        ("adjustment", "adjust"),
        ("adoption", "adopt"),
        ("controll", "control"),
        ("rate", "rate"),
        ("größen", "größen"),
        ("p2p", "p2p"),
    ],
)
def test_words_are_folded_as_porter_published(word: str, expected: str) -> None:
    """The examples of the paper come out as it says; what is not plain English stays."""
    assert stem(word) == expected


def test_signs_part_words() -> None:
    """Dotted and underlined names are found by their parts."""
    assert lexemes("os.path_sep, a/b-c; don't") == ["os", "path", "sep", "b", "c"]


def test_stop_words_are_left_out() -> None:
    """A question's content words remain, in order."""
    assert lexemes("What is the price of the engines?") == ["price", "engin"]


def test_a_query_holds_each_lexeme_once() -> None:
    """Repetition adds nothing, and a query without end is cut."""
    assert query_lexemes("price prices engine") == ["price", "engin"]
    assert len(query_lexemes(" ".join(f"w{number}" for number in range(500)))) == 64


def test_rare_words_weigh_more() -> None:
    """A word in one of a hundred passages outweighs one in all of them."""
    assert rarity(100, 1) > rarity(100, 50) > rarity(100, 100) > 0


def test_coverage_is_the_share_by_weight() -> None:
    """Three of four parts by weight are three quarters."""
    assert coverage({"a": 3.0, "b": 1.0}, ["a", "x"]) == 0.75


def test_nothing_asked_is_not_covered() -> None:
    """A query of stop words is covered by nothing."""
    assert coverage({}, ["a"]) == 0.0


def test_an_absent_word_is_the_rarest() -> None:
    """A word that no passage holds counts against every passage."""
    weights = weigh(["known", "unknown"], {"known": 5}, 10)

    assert weights["unknown"] > weights["known"]
