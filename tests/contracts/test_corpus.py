"""What every corpus does, on the one in memory and on the one in Postgres."""

import os
from array import array
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from interlock.core.corpus import Corpus, Fetch, Fetched, Passage, Progress, Vector
from interlock.core.corpus_memory import MemoryCorpus
from interlock.core.documents.limits import Limits
from interlock.errors import NotFound, SourceError
from interlock.postgres.corpus import PostgresCorpus
from interlock.postgres.pool import open_pool

PAGES = {
    "https://example.org/tides": Fetched(
        b"# Tides\n\nThe moon pulls the sea.\n", "text/markdown", "https://example.org/tides.md"
    ),
    "https://example.org/picture": Fetched(b"\x89PNG", "image/png", "https://example.org/picture"),
}
LIMITS = Limits(file_bytes=50_000, listed=3)


class Ears:
    """An embedder to whom only noise means anything."""

    name = "ears"

    def __init__(self) -> None:
        self.heard = list[str]()

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """Point one way for texts about noise, and another way for all others."""
        self.heard += texts
        return [array("f", [1, 0] if "noise" in text.lower() else [0, 1]) for text in texts]


async def fetch(url: str) -> Fetched:
    """Answer from memory what a server would."""
    if url not in PAGES:
        raise SourceError(f"'{url}' answered 404.")
    return PAGES[url]


@pytest.fixture(params=["memory", "postgres"])
async def corpus(request: pytest.FixtureRequest) -> AsyncIterator[Corpus]:
    """A fresh corpus of each kind that can read three URLs."""
    reader: Fetch = fetch
    if request.param == "memory":
        yield MemoryCorpus(fetch=reader, limits=LIMITS)
        return
    async with open_pool(request.getfixturevalue("database_url"), size=4) as pool:
        yield PostgresCorpus(pool, fetch=reader, limits=LIMITS)


@pytest.fixture(params=["memory", "postgres"])
async def offline_corpus(request: pytest.FixtureRequest) -> AsyncIterator[Corpus]:
    """A fresh corpus of each kind that reads no URLs."""
    if request.param == "memory":
        yield MemoryCorpus()
        return
    async with open_pool(request.getfixturevalue("database_url"), size=4) as pool:
        yield PostgresCorpus(pool)


@pytest.fixture
def ears() -> Ears:
    """An embedder that remembers what it was asked."""
    return Ears()


@pytest.fixture(params=["memory", "postgres"])
async def hearing_corpus(request: pytest.FixtureRequest, ears: Ears) -> AsyncIterator[Corpus]:
    """A fresh corpus of each kind that orders by meaning."""
    if request.param == "memory":
        yield MemoryCorpus(embedder=ears)
        return
    async with open_pool(request.getfixturevalue("database_url"), size=4) as pool:
        yield PostgresCorpus(pool, embedder=ears)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three documents about engines, ships and bread."""
    root = tmp_path / "given"
    (root / "deep").mkdir(parents=True)
    (root / "engines.md").write_text(
        "# Engines\n\n## Fuel\n\nDiesel engines burn oil.\n\n## Noise\n\nElectric engines hum.\n"
    )
    (root / "deep" / "ships.txt").write_text("Ships carry containers.\n\nA ship has engines too.")
    (root / "bread.rst").write_text("Bread\n=====\n\nBakers bake bread at night.\n")
    return root


def sources(passages: list[Passage]) -> list[str]:
    """Return where passages come from."""
    return [passage["source"] for passage in passages]


async def test_an_ingestion_tells_what_it_did(corpus: Corpus, folder: Path) -> None:
    """Documents, passages and what was skipped are counted."""
    (folder / "photo.png").write_bytes(b"\x89PNG")

    done = await corpus.ingest([str(folder)])

    assert {
        key: done[key] for key in ("documents", "added", "unchanged", "removed", "passages")
    } == {
        "documents": 3,
        "added": 3,
        "unchanged": 0,
        "removed": 0,
        "passages": 4,
    }
    assert done["skipped"] == [
        {"source": "photo.png", "reason": "files of the kind .png are not read"}
    ]


async def test_a_search_returns_the_exact_passage(corpus: Corpus, folder: Path) -> None:
    """A passage says where it stands, and its text is that of the document there."""
    collection = (await corpus.ingest([str(folder)]))["collection"]

    best = (await corpus.search(collection, "Which engines burn oil?"))[0]

    document = await corpus.document(collection, best["document"])
    assert document.text[best["start"] : best["end"]] == best["text"]
    assert best["text"] == "Diesel engines burn oil."
    assert (best["source"], best["title"], best["heading"]) == ("engines.md", "Engines", "Fuel")
    assert best["location"] == {"kind": "line", "first": 5, "last": 5}
    assert best["coverage"] == pytest.approx(1.0)


async def test_words_are_found_in_other_forms(corpus: Corpus, folder: Path) -> None:
    """Baking finds bake; capital letters do not matter."""
    collection = (await corpus.ingest([str(folder)]))["collection"]

    assert sources(await corpus.search(collection, "BAKING")) == ["bread.rst"]


async def test_headings_and_titles_are_searched(corpus: Corpus, folder: Path) -> None:
    """A passage is found by its heading, and covers what that says."""
    collection = (await corpus.ingest([str(folder)]))["collection"]

    hits = await corpus.search(collection, "noise")

    assert [(hit["text"], hit["coverage"]) for hit in hits] == [("Electric engines hum.", 1.0)]


async def test_any_word_is_enough_and_more_are_better(corpus: Corpus, folder: Path) -> None:
    """Not each word of a query must occur; passages with more of them come first."""
    collection = (await corpus.ingest([str(folder)]))["collection"]

    hits = await corpus.search(collection, "containers on ships with engines on Mars")

    assert hits[0]["source"] == "deep/ships.txt"
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)


async def test_coverage_counts_rare_words_more(corpus: Corpus, folder: Path) -> None:
    """A passage with the rare word of two covers more than half, the others less."""
    collection = (await corpus.ingest([str(folder)]))["collection"]

    covered = {
        hit["text"]: hit["coverage"] for hit in await corpus.search(collection, "diesel engines")
    }

    assert covered["Diesel engines burn oil."] == pytest.approx(1.0)
    # four passages, one with diesel: ln(1 + 3.5/1.5); three with engines: ln(1 + 1.5/3.5)
    assert covered["Electric engines hum."] == pytest.approx(0.3567 / (1.2040 + 0.3567), abs=1e-3)


async def test_what_the_sources_do_not_cover_is_seen(corpus: Corpus, folder: Path) -> None:
    """A question about something else finds nothing, or covers little."""
    collection = (await corpus.ingest([str(folder)]))["collection"]

    assert await corpus.search(collection, "quantum chromodynamics") == []
    foreign = await corpus.search(collection, "Who won the football cup for diesel players?")
    assert foreign[0]["coverage"] < 0.25


@pytest.mark.parametrize("query", ["", "   ", "what is the", "!? ' \\ & | :*", "\0", "a" * 100_000])
async def test_odd_queries_find_nothing(corpus: Corpus, folder: Path, query: str) -> None:
    """Stop words, signs of a query language and noise are no error."""
    collection = (await corpus.ingest([str(folder)]))["collection"]

    assert await corpus.search(collection, query) == []


async def test_a_query_is_data(corpus: Corpus, folder: Path) -> None:
    """Quotes, backslashes and operators around words do not change what is found."""
    collection = (await corpus.ingest([str(folder)]))["collection"]

    hits = await corpus.search(collection, "bread' | !engines:* & \\'; drop table documents; --")

    assert sources(hits)[0] == "bread.rst"


async def test_parts_of_names_are_found(corpus: Corpus, folder: Path) -> None:
    """A dotted or underlined name is found by its parts, markup does not hide words."""
    (folder / "api.md").write_text("Call os.path_sep(x) or Vector<Integer>, see http://a.b/turbine")
    collection = (await corpus.ingest([str(folder)]))["collection"]

    for query in ("path", "sep", "vector", "integer", "turbines"):
        assert sources(await corpus.search(collection, query)) == ["api.md"]


async def test_the_limit_holds(corpus: Corpus, folder: Path) -> None:
    """No more passages come than were asked for."""
    collection = (await corpus.ingest([str(folder)]))["collection"]

    assert len(await corpus.search(collection, "engines", limit=2)) == 2
    assert await corpus.search(collection, "engines", limit=0) == []


async def test_a_text_comes_once(corpus: Corpus, folder: Path) -> None:
    """Documents that repeat one another do not crowd out the others."""
    for number in range(3):
        (folder / f"copy{number}.txt").write_text("Ships carry containers.")
    collection = (await corpus.ingest([str(folder)]))["collection"]

    texts = [hit["text"] for hit in await corpus.search(collection, "ships", limit=3)]

    assert sorted(texts) == [
        "Ships carry containers.",
        "Ships carry containers.\n\nA ship has engines too.",
    ]


async def test_documents_are_listed_by_source(corpus: Corpus, folder: Path) -> None:
    """The list has no texts, and sorts as the folder does."""
    collection = (await corpus.ingest([str(folder)]))["collection"]

    listed = await corpus.documents(collection)

    assert [(one["source"], one["title"], one["media"]) for one in listed] == [
        ("bread.rst", "Bread", "text/x-rst"),
        ("deep/ships.txt", "ships.txt", "text/plain"),
        ("engines.md", "Engines", "text/markdown"),
    ]
    assert listed[1]["characters"] == 48


async def test_a_second_ingestion_changes_nothing(corpus: Corpus, folder: Path) -> None:
    """The same sources give the same collection and the same documents."""
    first = await corpus.ingest([str(folder)])
    before = await corpus.documents(first["collection"])

    second = await corpus.ingest([str(folder)])

    assert (second["added"], second["unchanged"], second["removed"]) == (0, 3, 0)
    assert second["collection"] == first["collection"]
    assert await corpus.documents(first["collection"]) == before


async def test_unchanged_files_are_not_read(
    corpus: Corpus, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with the size and time that it had is not opened again."""
    await corpus.ingest([str(folder)])
    (folder / "new.txt").write_text("new")
    opened = list[str]()
    really_open = os.open

    def spy(path: os.PathLike[str] | str, *rest: int) -> int:
        opened.append(os.fspath(path))
        return really_open(path, *rest)

    monkeypatch.setattr(os, "open", spy)
    await corpus.ingest([str(folder)])

    assert [path for path in opened if path.startswith(str(folder))] == [str(folder / "new.txt")]


async def test_touched_files_are_the_same_documents(corpus: Corpus, folder: Path) -> None:
    """A new time without new bytes adds nothing."""
    await corpus.ingest([str(folder)])
    os.utime(folder / "engines.md", ns=(1, 1))

    assert (await corpus.ingest([str(folder)]))["added"] == 0


async def test_changes_are_taken_over(corpus: Corpus, folder: Path) -> None:
    """What was changed, added and removed is found, found and not found."""
    collection = (await corpus.ingest([str(folder)]))["collection"]
    (folder / "bread.rst").unlink()
    (folder / "engines.md").write_text("# Engines\n\nSteam is back.\n")
    (folder / "new.txt").write_text("Zeppelins float.")

    done = await corpus.ingest([str(folder)])

    assert (done["added"], done["unchanged"], done["removed"]) == (2, 1, 2)
    assert await corpus.search(collection, "bread diesel") == []
    assert set(sources(await corpus.search(collection, "steam zeppelin"))) == {
        "engines.md",
        "new.txt",
    }
    assert len(await corpus.documents(collection)) == done["documents"] == 3


async def test_what_was_removed_weighs_no_more(corpus: Corpus, folder: Path) -> None:
    """Rarity is that of the collection as it is now."""
    collection = (await corpus.ingest([str(folder)]))["collection"]
    (folder / "engines.md").unlink()
    await corpus.ingest([str(folder)])

    hits = await corpus.search(collection, "bread engines")

    # two passages, each with one of the words: equally rare
    assert [hit["coverage"] for hit in hits] == pytest.approx([0.5, 0.5])


async def test_a_document_that_was_replaced_stays_readable(corpus: Corpus, folder: Path) -> None:
    """What was cited before a change can still be checked against its source."""
    collection = (await corpus.ingest([str(folder)]))["collection"]
    cited = (await corpus.search(collection, "diesel"))[0]
    (folder / "engines.md").write_text("# Engines\n\nAll gone.\n")
    await corpus.ingest([str(folder)])

    document = await corpus.document(collection, cited["document"])

    assert document.text[cited["start"] : cited["end"]] == cited["text"]


async def test_a_document_that_comes_back_is_found_again(corpus: Corpus, folder: Path) -> None:
    """Putting the old bytes back restores the old document."""
    collection = (await corpus.ingest([str(folder)]))["collection"]
    bread = (folder / "bread.rst").read_bytes()
    (folder / "bread.rst").unlink()
    await corpus.ingest([str(folder)])
    (folder / "bread.rst").write_bytes(bread)

    assert (await corpus.ingest([str(folder)]))["added"] == 1
    assert sources(await corpus.search(collection, "bread")) == ["bread.rst"]


async def test_collections_are_apart(corpus: Corpus, folder: Path) -> None:
    """A search sees its own collection only, also where they share documents."""
    everything = (await corpus.ingest([str(folder)]))["collection"]
    deep = (await corpus.ingest([str(folder / "deep")]))["collection"]

    assert sources(await corpus.search(deep, "engines")) == ["ships.txt"]
    assert len(await corpus.search(everything, "engines")) == 3
    bread = (await corpus.search(everything, "bread"))[0]["document"]
    with pytest.raises(NotFound, match=f"no document '{bread}'"):
        await corpus.document(deep, bread)


async def test_the_order_of_sources_does_not_matter(corpus: Corpus, folder: Path) -> None:
    """The same sources in another order, and named in another way, are the same collection."""
    one, two = str(folder / "engines.md"), str(folder / "bread.rst")

    first = await corpus.ingest([one, two])
    second = await corpus.ingest([two, one, one])

    assert first["collection"] == second["collection"]
    assert second["unchanged"] == 2


async def test_progress_is_told(corpus: Corpus, folder: Path) -> None:
    """Each source is one step, and the total is known from the first."""
    told = list[Progress]()

    await corpus.ingest([str(folder)], progress=told.append)

    assert [(one.done, one.total, one.source) for one in told] == [
        (1, 3, "bread.rst"),
        (2, 3, "deep/ships.txt"),
        (3, 3, "engines.md"),
    ]


async def test_urls_are_read(corpus: Corpus, folder: Path) -> None:
    """A page is a document beside the files, under its address."""
    done = await corpus.ingest([str(folder), "https://example.org/tides"])

    hits = await corpus.search(done["collection"], "What pulls the sea?")

    assert [(hit["source"], hit["title"]) for hit in hits] == [
        ("https://example.org/tides", "Tides")
    ]
    assert done["documents"] == 4


async def test_urls_that_fail_are_skipped(corpus: Corpus, folder: Path) -> None:
    """The other sources are read all the same."""
    done = await corpus.ingest(
        [str(folder), "https://example.org/picture", "https://example.org/nowhere"]
    )

    assert done["skipped"] == [
        {
            "source": "https://example.org/picture",
            "reason": "responses of the type image/png are not read",
        },
        {
            "source": "https://example.org/nowhere",
            "reason": "'https://example.org/nowhere' answered 404.",
        },
    ]


async def test_without_a_reader_urls_are_refused(offline_corpus: Corpus) -> None:
    """The error says how to allow them."""
    with pytest.raises(SourceError, match=r"is a URL, and this corpus reads files only.*`fetch="):
        await offline_corpus.ingest(["https://example.org/tides"])


async def test_broken_files_are_skipped(corpus: Corpus, folder: Path) -> None:
    """What cannot be read is listed with its reason, shortened after a few."""
    (folder / "a.pdf").write_bytes(b"%PDF-1.4 broken")
    (folder / "b.txt").write_bytes(b"\0\1\2")
    (folder / "c.zip").write_bytes(b"PK")
    (folder / "d.txt").write_text("x" * 60_000)
    (folder / "e.txt").write_text("")

    done = await corpus.ingest([str(folder)])

    assert done["documents"] == 3
    assert [one["source"] for one in done["skipped"]] == ["c.zip", "d.txt", "a.pdf", "2 more"]


async def test_files_that_may_not_be_opened_are_skipped(
    corpus: Corpus, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's refusal is told in plain words, and the other files are read."""
    really_open = os.open

    def refuse(path: os.PathLike[str] | str, *rest: int) -> int:
        if os.fspath(path).endswith("bread.rst"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return really_open(path, *rest)

    monkeypatch.setattr(os, "open", refuse)
    done = await corpus.ingest([str(folder)])

    assert done["documents"] == 2
    assert done["skipped"] == [{"source": "bread.rst", "reason": "permission denied"}]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "No sources were given"),
        (["  "], "No sources were given"),
        (["a\0b"], "cannot be printed"),
        (["\udcff"], "cannot be printed"),
        (["nowhere"], "no file or folder '.*nowhere'"),
        (["ftp://example.org/a"], "of a kind that is not read"),
        (["https://example.org/nowhere"], "Nothing readable .*404"),
    ],
)
async def test_sources_that_cannot_be_read_are_errors(
    corpus: Corpus, given: list[str], message: str
) -> None:
    """Nothing, something missing and something foreign say what is wrong."""
    with pytest.raises(SourceError, match=message):
        await corpus.ingest(given)


async def test_an_empty_folder_is_an_error(corpus: Corpus, tmp_path: Path) -> None:
    """The error names the folder and says what can be read."""
    with pytest.raises(
        SourceError, match=f"Nothing to read was found in '{tmp_path}': it is empty"
    ):
        await corpus.ingest([str(tmp_path)])


async def test_a_folder_with_nothing_readable_is_an_error(corpus: Corpus, tmp_path: Path) -> None:
    """The error gives the reasons."""
    (tmp_path / "a.zip").write_bytes(b"PK")
    (tmp_path / "b.pdf").write_bytes(b"")

    with pytest.raises(SourceError, match=r"Nothing readable .*a\.zip \(an archive.*b\.pdf \("):
        await corpus.ingest([str(tmp_path)])


async def test_a_failed_ingestion_leaves_the_collection(corpus: Corpus, folder: Path) -> None:
    """An ingestion that finds nothing does not empty what was there."""
    collection = (await corpus.ingest([str(folder)]))["collection"]
    for name in ("engines.md", "bread.rst", "deep/ships.txt"):
        (folder / name).unlink()

    with pytest.raises(SourceError):
        await corpus.ingest([str(folder)])

    assert sources(await corpus.search(collection, "bread")) == ["bread.rst"]


async def test_unknown_names_are_errors(corpus: Corpus, folder: Path) -> None:
    """A collection or a document that does not exist is named in the error."""
    collection = (await corpus.ingest([str(folder)]))["collection"]

    with pytest.raises(NotFound, match="no collection 'nothing'"):
        await corpus.search("nothing", "bread")
    with pytest.raises(NotFound, match="no collection 'nothing'"):
        await corpus.documents("nothing")
    with pytest.raises(NotFound, match="no document 'none'"):
        await corpus.document(collection, "none")


async def test_meaning_orders_what_words_found(hearing_corpus: Corpus, folder: Path) -> None:
    """The nearest in meaning comes first, though others hold more of the words."""
    collection = (await hearing_corpus.ingest([str(folder)]))["collection"]

    hits = await hearing_corpus.search(collection, "diesel engines burn without noise")

    assert [hit["score"] for hit in hits] == [1.0, 0.0, 0.0]
    assert hits[0]["text"] == "Electric engines hum."
    assert await hearing_corpus.search(collection, "quantum") == []


async def test_what_a_passage_means_is_asked_once(
    hearing_corpus: Corpus, folder: Path, ears: Ears
) -> None:
    """A second search embeds nothing but its query."""
    collection = (await hearing_corpus.ingest([str(folder)]))["collection"]
    await hearing_corpus.search(collection, "bread")
    assert ears.heard == ["Bread\nBakers bake bread at night.", "bread"]

    ears.heard.clear()
    await hearing_corpus.search(collection, "baking bread")

    assert ears.heard == ["baking bread"]


def test_both_are_corpora() -> None:
    """The adapters have the port's methods."""
    assert isinstance(MemoryCorpus(), Corpus)
    assert issubclass(PostgresCorpus, Corpus)
