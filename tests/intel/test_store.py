from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dragoman.errors import IntelError
from dragoman.intel.store import Store
from dragoman.records import Text

A = Text("doc:a#1", "A", "First body.", "a.md", "document")
B = Text("class:b", "B", "Second.", "b.md", "class", slug="b", cwe=("CWE-1",), looks=("x", "y"))
EYE = np.eye(3, dtype=np.float32)


def test_add_list_remove(tmp_path: Path) -> None:
    store = Store(tmp_path / "intel")
    assert store.texts() == []
    assert store.index("m1") is None
    assert store.remove(["a"]) == 0
    assert store.version == "none"

    store.add([A], EYE[:1], "m1")
    first = store.version
    store.add([B], EYE[1:2], "m1")
    assert store.texts() == [B, A]
    assert store.version != first
    index = Store(tmp_path / "intel").index("m1")
    assert index is not None
    assert [hit.id for hit in index.search(EYE[:1], 2)[0]] == [A.id, B.id]

    assert store.remove([B.id, "never heard of"]) == 1
    assert store.texts() == [A]
    assert store.version == first
    assert store.remove([A.id]) == 1
    assert store.texts() == []


def test_a_known_id_is_replaced(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add([A, B], EYE[:2], "m1")
    new = Text(A.id, "A2", "Changed.", "a.md", "document")
    store.add([new], EYE[2:], "m1")
    assert store.texts() == [B, new]
    index = store.index("m1")
    assert index is not None
    assert np.allclose(index.vectors_of([A.id]), EYE[2:])


def test_another_model_needs_the_texts_encoded_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add([A, B], EYE[:2], "m1")
    version = store.version
    for use in (lambda: store.index("m2"), lambda: store.add([A], EYE[:1], "m2")):
        with pytest.raises(IntelError, match="encode the texts again"):
            use()
    store.replace(store.texts(), EYE[1:], "m2")
    assert store.index("m2") is not None
    assert store.texts() == [B, A]
    assert store.version == version


def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add([A], EYE[:1], "m1")
    next(tmp_path.glob("entries.*")).write_bytes(b"{}\n")
    with pytest.raises(IntelError, match="SHA-256"):
        store.texts()


def test_a_star_in_an_id_stands_for_anything(tmp_path: Path) -> None:
    store = Store(tmp_path / "intel")
    ids = ["doc:a[1].b#1", "doc:a[1].b#2", "doc:a1xb#1", "T1059"]
    store.add([replace(A, id=i) for i in ids], EYE[[0, 1, 0, 1]], "m1")
    assert store.remove(["doc:a[1].b#1"]) == 1
    assert store.remove(["doc:a[1].*", "none*"]) == 1
    assert sorted(text.id for text in store.texts()) == ["T1059", "doc:a1xb#1"]
    assert store.remove([]) == 0
    assert store.remove(["*"]) == 2
