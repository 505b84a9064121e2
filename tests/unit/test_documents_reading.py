import json
import zipfile
from io import BytesIO

import docx
import pytest
from pypdf import PdfReader, PdfWriter

from interlock.core.corpus import Document
from interlock.core.documents import media
from interlock.core.documents.limits import Limits
from interlock.core.documents.reading import Unreadable, document_id, read


def pdf(*pages: str, title: str = "") -> bytes:
    """Write a PDF by hand: one line of text on each page."""
    streams = [f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET" for text in pages]
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, stream in enumerate(streams):
        objects += [
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources"
            f" << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * number} 0 R >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    objects.append(f"<< /Title ({title}) >>")
    body = "%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R /Info {len(objects)} 0 R >>\n"
    cross = f"xref\n0 {size}\n0000000000 65535 f \n{table}"
    return (body + cross + trailer + f"startxref\n{len(body)}\n%%EOF\n").encode("latin-1")


def encrypted(data: bytes, password: str) -> bytes:
    """Lock a PDF with a password."""
    writer = PdfWriter(clone_from=PdfReader(BytesIO(data)))
    writer.encrypt(user_password=password, owner_password="owner", algorithm="RC4-128")
    written = BytesIO()
    writer.write(written)
    return written.getvalue()


def word_document() -> bytes:
    """Write a Word document with headings and a table between its paragraphs."""
    document = docx.Document()
    document.add_heading("Fuel report", level=1)
    document.add_paragraph("Prices rose.")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(
        [cell for row in table.rows for cell in row.cells],
        ["Fuel", "Price", "Oil", "12"],
        strict=True,
    ):
        cell.text = text
    document.add_heading("Outlook", level=2)
    document.add_paragraph("They fall.")
    written = BytesIO()
    document.save(written)
    return written.getvalue()


def read_text(data: bytes, source: str = "notes.txt", kind: str = media.PLAIN) -> Document:
    """Read bytes as the file that they are."""
    return read(source, data, kind)


@pytest.mark.parametrize(
    "data",
    [
        "Grüße".encode(),
        "Grüße".encode("utf-8-sig"),
        "Grüße".encode("utf-16"),
        "Grüße".encode("latin-1"),
    ],
)
def test_text_is_decoded(data: bytes) -> None:
    """UTF-8 with and without mark, UTF-16 with one, and Latin-1 are all read."""
    assert read_text(data).text == "Grüße"


def test_line_ends_become_one_kind() -> None:
    """Line numbers do not depend on where a file was written."""
    assert read_text(b"a\r\nb\rc\n").text == "a\nb\nc\n"


def test_binary_files_are_refused() -> None:
    """A file with NUL bytes is not text, whatever its name."""
    with pytest.raises(Unreadable, match="binary"):
        read_text(b"ab\0cd")


def test_what_a_database_refuses_is_taken_out() -> None:
    """A NUL that a format smuggles past the bytes, and a lone surrogate, are gone."""
    cells = {"cells": [{"cell_type": "markdown", "source": "a\u0000b\ud800c"}]}

    document = read("n.ipynb", json.dumps(cells).encode(), media.NOTEBOOK)

    assert document.text == "abc"


@pytest.mark.parametrize("data", [b"", b" \n\t\n"])
def test_empty_files_are_refused(data: bytes) -> None:
    """There is nothing to search in white space."""
    with pytest.raises(Unreadable, match="holds no text"):
        read_text(data)


def test_too_much_text_is_refused() -> None:
    """The limit on characters holds for every kind."""
    with pytest.raises(Unreadable, match="over the limit of 3 characters"):
        read("a.txt", b"four", media.PLAIN, Limits(characters=3))


def test_a_document_is_named_by_source_and_bytes() -> None:
    """Other bytes or another name give another id; the same give the same."""
    ids = {document_id("a.txt", b"1"), document_id("a.txt", b"2"), document_id("b.txt", b"1")}

    assert len(ids) == 3
    assert read_text(b"1", "a.txt").id == document_id("a.txt", b"1")
    assert all(len(one) == 16 for one in ids)


@pytest.mark.parametrize(
    ("text", "kind", "title"),
    [
        ("intro\n\n## Part\n\n# Whole *thing*\n", media.MARKDOWN, "Whole thing"),
        ("---\ntitle: 'In front'\n---\n\n# Heading\n", media.MARKDOWN, "In front"),
        ("Setext\n======\n\ntext\n", media.MARKDOWN, "Setext"),
        ("=====\nOver!\n=====\n\nUnder\n-----\n", media.RST, "Over!"),
        ("The with statement\n******************\n", media.PLAIN, "The with statement"),
        ("just words\n", media.PLAIN, "notes.txt"),
        ("# a comment\nx = 1\n", media.CODE, "notes.txt"),
        (
            "<html><title>From &amp; head</title><body><p>Hi</p></body></html>",
            media.HTML,
            "From & head",
        ),
    ],
)
def test_titles_are_found(text: str, kind: str, title: str) -> None:
    """The highest heading, else the metadata, else the file's name."""
    assert read_text(text.encode(), "deep/notes.txt", kind).title == title


def test_pdf_pages_are_known() -> None:
    """Each page's text begins where `page_starts` says."""
    document = read("a.pdf", pdf("First page.", "Second page.", title="A report"), media.PDF)

    assert document.text == "First page.\n\nSecond page."
    assert document.page_starts == (0, 13)
    assert document.title == "A report"


@pytest.mark.parametrize("title", ["", "Microsoft Word - final2.doc", "untitled"])
def test_empty_pdf_titles_are_not_used(title: str) -> None:
    """What a program wrote for want of a title is no title."""
    assert read("deep/a.pdf", pdf("Text.", title=title), media.PDF).title == "a.pdf"


@pytest.mark.parametrize("data", [b"", b"not a pdf", pdf("Text.")[:60], b"%PDF-1.4\n%%EOF"])
def test_broken_pdfs_are_refused(data: bytes) -> None:
    """A PDF that cannot be parsed says so, without noise."""
    with pytest.raises(Unreadable, match=r"broken|holds no text"):
        read("a.pdf", data, media.PDF)


def test_locked_pdfs_are_refused() -> None:
    """A PDF that needs a password says what to do."""
    with pytest.raises(Unreadable, match="encrypted; save it without a password"):
        read("a.pdf", encrypted(pdf("Secret."), "word"), media.PDF)


def test_pdfs_locked_with_an_empty_password_are_read() -> None:
    """Such a PDF opens for everybody, and so it does here."""
    assert read("a.pdf", encrypted(pdf("Open."), ""), media.PDF).text == "Open."


def test_scanned_pdfs_are_refused() -> None:
    """Pages without text say what would help."""
    with pytest.raises(Unreadable, match="text recognition"):
        read("a.pdf", pdf("", ""), media.PDF)


def test_pdfs_with_too_many_pages_are_refused() -> None:
    """The limit on pages is checked before they are read."""
    with pytest.raises(Unreadable, match="has 3 pages, over the limit of 2"):
        read("a.pdf", pdf("a", "b", "c"), media.PDF, Limits(pages=2))


def test_pdfs_that_take_too_long_are_refused() -> None:
    """A PDF that is made to be slow is given up."""
    with pytest.raises(Unreadable, match="takes longer than 0 seconds"):
        read("a.pdf", pdf("a", "b"), media.PDF, Limits(seconds=0))


def test_word_documents_keep_their_order() -> None:
    """Headings and tables stand where they stood."""
    document = read("a.docx", word_document(), media.WORD)

    assert document.text == (
        "# Fuel report\n\nPrices rose.\n\n| Fuel | Price |\n| Oil | 12 |\n\n## Outlook\n\nThey fall."
    )
    assert document.title == "Fuel report"


def test_word_bombs_are_refused() -> None:
    """A document that unpacks to more than the limit is not unpacked."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"\0" * 3_000_000)
    assert len(packed.getvalue()) < 10_000

    with pytest.raises(Unreadable, match=r"unpacks to 3\.0 MB, over the limit of 1\.0 MB"):
        read("a.docx", packed.getvalue(), media.WORD, Limits(unpacked_bytes=1_000_000))


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_broken_word_documents_are_refused(data: bytes) -> None:
    """What is no Word document says so."""
    with pytest.raises(Unreadable, match="not a Word document"):
        read("a.docx", data, media.WORD)


def test_archives_that_are_no_word_document_are_refused() -> None:
    """A zip archive under another name is not read."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../evil.txt", "text")

    with pytest.raises(Unreadable, match="broken"):
        read("a.docx", packed.getvalue(), media.WORD)


def test_html_keeps_what_matters() -> None:
    """The main text with its headings, code and tables is kept; scripts are not."""
    page = """<html><head><title>Page</title><script>evil()</script></head><body>
        <article><h1>Engines</h1><p>An engine turns fuel into motion, and a good one does so for
        decades without asking for more than a little oil.</p><h2>Start</h2>
        <pre><code>engine.start()\n    wait()</code></pre>
        <table><tr><th>Fuel</th><th>Price</th></tr><tr><td>Oil</td><td>12</td></tr></table>
        </article></body></html>"""

    document = read("page.html", page.encode(), media.HTML)

    assert document.title == "Engines"
    assert "## Start" in document.text
    assert "engine.start()\n    wait()" in document.text
    assert "| Oil | 12 |" in document.text
    assert "evil" not in document.text


def test_html_without_an_article_is_read() -> None:
    """Where no main text is recognised, all text is taken."""
    page = b"<html><body><div>Only a line.</div></body></html>"

    assert read("page.html", page, media.HTML).text == "Only a line."


def test_notebooks_are_read() -> None:
    """Text stays, code and its textual output are fenced, pictures are left out."""
    outputs = [{"text": ["4\n"]}, {"data": {"image/png": "AAAA", "text/plain": ["<Figure>"]}}]
    notebook = {
        "metadata": {"language_info": {"name": "python"}},
        "cells": [
            {"cell_type": "markdown", "source": ["# Sums\n", "\n", "Add."]},
            {"cell_type": "code", "source": "2 + 2", "outputs": outputs},
            {"cell_type": "code", "source": "  "},
        ],
    }

    document = read("n.ipynb", json.dumps(notebook).encode(), media.NOTEBOOK)

    assert document.title == "Sums"
    assert document.text == (
        "# Sums\n\nAdd.\n\n```python\n2 + 2\n```\n\n```\n4\n```\n\n```\n<Figure>\n```"
    )


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"worksheets": []}', b"[" * 100_000])
def test_broken_notebooks_are_refused(data: bytes) -> None:
    """What is no notebook says so, and deep nesting breaks nothing."""
    with pytest.raises(Unreadable, match="not a Jupyter notebook"):
        read("n.ipynb", data, media.NOTEBOOK)


@pytest.mark.parametrize(
    ("content_type", "path", "kind"),
    [
        ("text/html; charset=utf-8", "/", media.HTML),
        ("application/pdf", "/get?id=1", media.PDF),
        ("text/plain", "/readme.md", media.MARKDOWN),
        ("text/plain", "/readme", media.PLAIN),
        ("application/octet-stream", "/a.pdf", media.PDF),
        ("application/json", "/a", media.DATA),
        ("image/png", "/a.txt", None),
        ("application/zip", "/a.zip", None),
        ("application/octet-stream", "/a", None),
    ],
)
def test_responses_are_read_by_their_type(content_type: str, path: str, kind: str | None) -> None:
    """A response's type decides; the path helps where the type says little."""
    assert media.media_of_response(content_type, path) == kind
