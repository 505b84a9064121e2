from pathlib import Path

import pytest

from graphs.research import graph
from interlock.inputs import absolute, check_input


def test_paths_are_made_absolute_and_all_other_sources_stay(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another process, in another folder, can go on with what was given."""
    monkeypatch.chdir(tmp_path)
    given = ["./docs", "https://example.org/a", "search:tavily", "search:package.tools:Search"]

    checked = check_input(graph, {"question": "Why?", "sources": given})

    assert checked["sources"] == [str(tmp_path / "docs"), *given[1:]]


def test_a_file_may_be_called_like_a_search_tool(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Written with the folder before it, it is a path."""
    monkeypatch.chdir(tmp_path)

    assert absolute("./search:notes") == str(tmp_path / "search:notes")
