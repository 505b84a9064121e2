import os
from pathlib import Path

import pytest

from interlock.core.documents.limits import Limits
from interlock.core.documents.scan import read_bytes, scan
from interlock.errors import SourceError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a file beside it that does not belong to it."""
    (tmp_path / "secret.txt").write_text("not yours")
    root = tmp_path / "given"
    root.mkdir()
    return root


def write(path: Path, text: str = "words") -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def found(*sources: Path, limits: Limits | None = None) -> list[str]:
    """Return the names of what is found."""
    return [file.source for file in scan(sources, limits or Limits()).found]


def skipped(*sources: Path, limits: Limits | None = None) -> dict[str, str]:
    """Return what is passed by, with its reason."""
    return {one["source"]: one["reason"] for one in scan(sources, limits or Limits()).skipped}


def test_folders_are_walked_in_the_order_of_names(folder: Path) -> None:
    """Files come by their path below the folder, sorted, whatever the system's order."""
    for name in ("b.md", "a/z.txt", "a/b/c.rst", "Makefile"):
        write(folder / name)

    assert found(folder) == ["Makefile", "a/b/c.rst", "a/z.txt", "b.md"]


def test_a_link_out_of_the_folder_is_skipped(folder: Path) -> None:
    """A link to a file or a folder outside is named and not followed."""
    write(folder / "mine.txt")
    (folder / "file.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "up").symlink_to("..")
    (folder / "gone.txt").symlink_to("nowhere")

    assert found(folder) == ["mine.txt"]
    assert skipped(folder) == dict.fromkeys(
        ["file.txt", "gone.txt", "up"], "a link that leads out of the folder or nowhere"
    )


def test_a_link_inside_of_the_folder_is_read_once(folder: Path) -> None:
    """A link to a file that is found anyway adds nothing; one to a hidden file is read."""
    write(folder / "a.txt")
    write(folder / "..data" / "config.txt")
    (folder / "alias.txt").symlink_to("a.txt")
    (folder / "config.txt").symlink_to("..data/config.txt")

    assert found(folder) == ["a.txt", "config.txt"]


def test_a_link_in_a_circle_ends(folder: Path) -> None:
    """A folder that links to itself is walked once."""
    write(folder / "a.txt")
    (folder / "again").symlink_to(folder)
    (folder / "loop.txt").symlink_to("loop.txt")

    assert found(folder) == ["a.txt"]
    assert set(skipped(folder)) == {"again", "loop.txt"}


def test_dots_in_a_given_path_are_resolved(folder: Path) -> None:
    """A path with `..` names the folder that it leads to, and that folder confines it."""
    write(folder / "a.txt")

    assert found(folder / ".." / "given") == ["a.txt"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("old.zip", "an archive; unpack it to have it read"),
        ("old.tar.gz", "an archive; unpack it to have it read"),
        ("photo.png", "files of the kind .png are not read"),
        (".env", "hidden"),
    ],
)
def test_what_is_not_read_is_named_with_its_reason(folder: Path, name: str, reason: str) -> None:
    """Archives, unknown kinds and hidden files are listed in plain words."""
    write(folder / name)

    assert skipped(folder) == {name: reason}


@pytest.mark.parametrize("name", [".git", "node_modules", "__pycache__"])
def test_generated_folders_are_named_once(folder: Path, name: str) -> None:
    """Such a folder is one line, not one for each of its files."""
    write(folder / name / "a.txt")
    write(folder / name / "b.txt")

    assert list(skipped(folder)) == [name]


def test_a_huge_file_is_skipped(folder: Path) -> None:
    """A file over the limit is listed with both sizes."""
    write(folder / "huge.txt", "x" * 1_200_000)

    assert skipped(folder, limits=Limits(file_bytes=1_000_000)) == {
        "huge.txt": "it has 1.2 MB, over the limit of 1.0 MB"
    }


def test_too_many_files_are_skipped(folder: Path) -> None:
    """Files over the limit of their number are listed."""
    for name in ("a.txt", "b.txt", "c.txt"):
        write(folder / name)

    assert found(folder, limits=Limits(files=2)) == ["a.txt", "b.txt"]
    assert skipped(folder, limits=Limits(files=2)) == {"c.txt": "over the limit of 2 files"}


def test_a_pipe_is_skipped(folder: Path) -> None:
    """What would block when it is opened is not opened."""
    os.mkfifo(folder / "pipe.txt")

    assert skipped(folder) == {"pipe.txt": "not a regular file"}


def test_a_file_replaced_by_a_link_is_refused(folder: Path) -> None:
    """What became a link after the scan is not followed."""
    path = write(folder / "a.txt")
    path.unlink()
    path.symlink_to(folder.parent / "secret.txt")

    with pytest.raises(OSError, match="symbolic links"):
        read_bytes(path)


def test_a_file_replaced_by_a_pipe_is_refused(folder: Path) -> None:
    """What became a pipe after the scan neither blocks nor is read."""
    os.mkfifo(folder / "a.txt")

    with pytest.raises(OSError, match="not a regular file"):
        read_bytes(folder / "a.txt")


def test_a_file_that_grew_is_refused(folder: Path) -> None:
    """What grew over the limit after the scan is not read."""
    path = write(folder / "a.txt", "x" * 11)

    with pytest.raises(OSError, match="over the limit"):
        read_bytes(path, Limits(file_bytes=10))


def test_several_folders_are_told_apart(folder: Path) -> None:
    """With several folders each file is named with its folder; a file given alone keeps its name."""
    write(folder / "one" / "a.txt")
    write(folder / "two" / "a.txt")
    alone = write(folder / "three" / "a.txt")

    assert found(folder / "one", folder / "two", alone) == ["a.txt", "one/a.txt", "two/a.txt"]


def test_folders_of_one_name_are_told_apart(folder: Path) -> None:
    """Where the folders' names do not help, the whole path does."""
    first = write(folder / "one" / "docs" / "a.txt")
    second = write(folder / "two" / "docs" / "a.txt")

    assert found(first.parent, second.parent) == [first.as_posix(), second.as_posix()]


def test_a_file_given_twice_is_found_once(folder: Path) -> None:
    """A folder and a file in it do not give two documents."""
    inside = write(folder / "a.txt")

    assert found(folder, inside) == ["given/a.txt"]


@pytest.mark.parametrize("name", [b"\xff.txt", b"a\nb.txt", b"esc\x1b[2J.txt"])
def test_names_that_cannot_be_printed_are_skipped(folder: Path, name: bytes) -> None:
    """What no database stores, and what could write over a screen, is listed in plain signs."""
    Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text("words")

    assert found(folder) == []
    assert list(skipped(folder).values()) == [
        "its name has characters that cannot be printed; rename it"
    ]
    assert all(one.isprintable() for one in skipped(folder))


def test_a_missing_source_is_an_error(folder: Path) -> None:
    """The error names the path and says what to do."""
    with pytest.raises(SourceError, match=r"no file or folder '.*nowhere'.* Check the path"):
        scan([folder / "nowhere"])


def test_a_source_that_is_no_file_is_an_error(folder: Path) -> None:
    """A pipe given by name is refused."""
    os.mkfifo(folder / "pipe")

    with pytest.raises(SourceError, match="neither a file nor a folder"):
        scan([folder / "pipe"])


def test_a_path_with_nul_is_an_error() -> None:
    """A path that no system has is refused like a missing one."""
    with pytest.raises(SourceError, match="cannot be opened"):
        scan([Path("a\0b")])


def test_a_closed_folder_is_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that may not be listed is skipped; the rest is read."""
    write(folder / "a.txt")
    closed = write(folder / "closed" / "b.txt").parent
    listed = Path.iterdir

    def iterdir(path: Path) -> object:
        if path == closed:
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)

    assert found(folder) == ["a.txt"]
    assert skipped(folder) == {"closed": "the folder cannot be listed: permission denied"}
