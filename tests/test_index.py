from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman import index as index_module
from dragoman.errors import IntelError
from dragoman.index import KINDS, Index
from dragoman.records import Text

MODEL = "0123456789abcdef" * 4


def texts(n: int) -> list[Text]:
    """``n`` texts of all kinds, in no order of id."""
    return [
        Text(
            id=f"id-{(7 * i + 3) % 10007:05d}",
            title=f"Title {i} \u2603",
            body=f"Body {i}",
            source="test",
            kind=KINDS[i % len(KINDS)],  # type: ignore[arg-type]
            slug="some-class" if i % len(KINDS) == 0 else None,
            cwe=("CWE-1", "CWE-2") if i % 2 else (),
            severity="high",
            looks=("one", "two") if i % 3 == 0 else (),
        )
        for i in range(n)
    ]


def vectors(n: int, d: int = 16, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


@pytest.mark.parametrize("blocks", [(16_384, 256), (7, 3)])
@pytest.mark.parametrize("kinds", [None, ("cve",), ("class", "document"), ("unheard-of",)])
def test_search_is_exact(
    monkeypatch: pytest.MonkeyPatch, blocks: tuple[int, int], kinds: tuple[str, ...] | None
) -> None:
    monkeypatch.setattr(index_module, "ROWS", blocks[0])
    monkeypatch.setattr(index_module, "QUERIES", blocks[1])
    entries, rows, queries = texts(60), vectors(60), vectors(8, seed=1)
    hits = Index.build(entries, rows, MODEL).search(queries, 5, kinds)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for query, found in zip(queries, hits, strict=True):
        scores = unit @ (query / np.linalg.norm(query))
        known = [
            (-s, t) for s, t in zip(scores, entries, strict=True) if not kinds or t.kind in kinds
        ]
        best = sorted(known, key=lambda pair: pair[0])[:5]
        assert [h.id for h in found] == [t.id for _, t in best]
        assert [h.title for h in found] == [t.title for _, t in best]
        assert np.allclose([h.score for h in found], [-s for s, _ in best], atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 30), k=st.integers(0, 40), distinct=st.integers(1, 4), rows=st.integers(1, 12)
)
def test_ties_are_broken_by_id(n: int, k: int, distinct: int, rows: int) -> None:
    shared = vectors(distinct, d=5)
    vecs = np.stack([shared[i % distinct] for i in range(n)]) if n else np.zeros((0, 5))
    index = Index.build(texts(n), vecs, MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "ROWS", rows)
        [hits] = index.search(shared[:1], k)
    assert len(hits) == min(n, k)
    pairs = [(-round(h.score, 4), h.id) for h in hits]
    assert pairs == sorted(pairs)
    nearest = sorted(t.id for i, t in enumerate(texts(n)) if i % distinct == 0)
    assert [h.id for h in hits][: len(nearest)] == nearest[:k]


@pytest.mark.parametrize(
    ("storage", "error"), [("float32", 1e-6), ("float16", 1e-3), ("int8", 0.02)]
)
def test_save_and_load(tmp_path: Path, storage: Any, error: float) -> None:
    entries, rows = texts(50), vectors(50, d=64)
    built = Index.build(entries, rows, MODEL, storage=storage)
    built.save(tmp_path / "ix")
    index = Index.load(tmp_path / "ix", model=MODEL)
    assert index.texts() == sorted(entries, key=lambda t: t.id)
    assert (len(index), index.dim, index.storage) == (50, 64, storage)
    assert index.version == built.version
    ids = [entries[9].id, entries[3].id]
    assert index.text(ids[0]) == entries[9]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    got = index.vectors_of(ids)
    assert got.dtype == np.float32
    assert np.abs(got - unit[[9, 3]]).max() < error
    assert np.allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)
    assert index.search(rows, 3) == built.search(rows, 3)
    assert [h[0].id for h in index.search(rows, 1)] == [t.id for t in entries]


def test_a_large_index_is_not_expanded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index.build(texts(40), vectors(40), MODEL, storage="int8")
    want, ids = index.search(vectors(5), 4), list(index.ids)[::3]
    rows = index.vectors_of(ids)
    monkeypatch.setattr(index_module, "DENSE_BYTES", 100)
    lean = Index.build(texts(40), vectors(40), MODEL, storage="int8")
    assert lean.search(vectors(5), 4) == want
    assert np.array_equal(lean.vectors_of(ids), rows)
    assert "_dense" not in vars(lean)


def test_without_body(tmp_path: Path) -> None:
    Index.build(texts(6), vectors(6), MODEL, body=False).save(tmp_path)
    assert all(t.body == "" and t.looks == () for t in Index.load(tmp_path, model=MODEL).texts())
    assert b"Body" not in next(tmp_path.glob("entries*")).read_bytes()


def test_merge_and_without() -> None:
    a = Index.build(texts(10), vectors(10), MODEL)
    changed = [Text(texts(1)[0].id, "New title", "b", "s", "cve"), Text("zz", "Z", "b", "s", "cve")]
    b = Index.build(changed, vectors(2, seed=5), MODEL)
    both = a.merge(b)
    assert len(both) == 11
    assert both.text(changed[0].id).title == "New title"
    assert np.allclose(both.vectors_of(["zz"]), b.vectors_of(["zz"]), atol=1e-6)
    assert len(a) == 10
    rest = both.without(["zz", "never heard of"])
    assert [t.id for t in rest.texts()] == [t.id for t in a.texts()]
    assert rest.search(vectors(1, seed=5), 1)[0][0].id == changed[0].id
    none = both.without(list(both.ids))
    assert len(none) == 0
    assert none.search(vectors(2), 3) == [[], []]
    assert none.merge(a) is a
    assert a.merge(none) is a
    with pytest.raises(IntelError, match="made by model"):
        a.merge(Index.build(texts(1), vectors(1), "other"))


def test_int8_survives_being_rebuilt() -> None:
    a = Index.build(texts(10), vectors(10), MODEL, storage="int8")
    b = Index.build([Text("zz", "Z", "b", "s", "cve")], vectors(1), MODEL)
    ids = list(a.ids)
    assert np.allclose(a.merge(b).vectors_of(ids), a.vectors_of(ids), atol=1e-6)
    assert a.merge(b).storage == "int8"


def test_version_follows_the_texts_only() -> None:
    a = Index.build(texts(5), vectors(5), MODEL)
    assert a.version == Index.build(texts(5)[::-1], vectors(5, seed=3), "other").version
    assert a.version != Index.build(texts(6), vectors(6), MODEL).version
    assert len(a.version) == 12


def test_wrong_input_is_refused() -> None:
    for bad in (vectors(4), vectors(5)[0], np.zeros((5, 4)), np.full((5, 4), np.nan)):
        with pytest.raises(IntelError):
            Index.build(texts(5), bad, MODEL)
    with pytest.raises(IntelError, match="occurs twice"):
        Index.build(texts(2) + texts(1), vectors(3), MODEL)
    index = Index.build(texts(5), vectors(5), MODEL)
    with pytest.raises(IntelError, match="queries of shape"):
        index.search(vectors(1, d=15), 1)
    with pytest.raises(IntelError, match="no text has the id nope"):
        index.vectors_of(["nope"])


def test_another_models_vectors_are_refused(tmp_path: Path) -> None:
    Index.build(texts(5), vectors(5), MODEL).save(tmp_path)
    with pytest.raises(IntelError, match="made by model 0123456789ab, not ffff") as caught:
        Index.load(tmp_path, model="f" * 64)
    assert caught.value.exit_code == 4
    assert "encode the texts again" in str(caught.value)
    assert len(Index.load(tmp_path, model=None)) == 5


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_crash_during_save_leaves_the_old_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The process stops just before its ``step``-th file takes its place."""
    Index.build(texts(5), vectors(5), MODEL).save(tmp_path)
    before = Index.load(tmp_path, model=MODEL)
    calls, real = [], Path.replace

    def replace(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == step:
            raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            Index.build(texts(9), vectors(9), MODEL).save(tmp_path)
    after = Index.load(tmp_path, model=MODEL)
    assert after.texts() == before.texts()
    Index.build(texts(7), vectors(7), MODEL).save(tmp_path)
    assert len(Index.load(tmp_path, model=MODEL)) == 7
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("part", ["vectors", "entries"])
def test_a_tampered_part_is_refused(tmp_path: Path, part: str) -> None:
    Index.build(texts(5), vectors(5), MODEL).save(tmp_path)
    [file] = tmp_path.glob(f"{part}.*")
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    with pytest.raises(IntelError, match="does not match its SHA-256"):
        Index.load(tmp_path, model=MODEL)
    file.unlink()
    with pytest.raises(IntelError, match="cannot be read"):
        Index.load(tmp_path, model=MODEL)


@pytest.mark.parametrize(
    ("part", "data"),
    [
        ("vectors", b"not safetensors"),
        ("vectors", b"\xff" * 64),
        ("entries", b""),
        ("entries", b"{}\n" * 5),
        ("entries", b"[\n" * 5),
        ("entries", b'{"id":"a","cwe":3}\n' * 5),
        ("entries", b'{"id":"a","colour":"red"}\n' * 5),
    ],
)
def test_a_foreign_part_with_a_right_digest_is_refused(
    tmp_path: Path, part: str, data: bytes
) -> None:
    Index.build(texts(5), vectors(5), MODEL).save(tmp_path)
    manifest = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / manifest["parts"][part]["name"]).write_bytes(data)
    manifest["parts"][part]["sha256"] = hashlib.sha256(data).hexdigest()
    (tmp_path / "index.json").write_text(json.dumps(manifest))
    with pytest.raises(IntelError):
        Index.load(tmp_path, model=MODEL).search(vectors(1), 2)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 99},
        {"storage": "float64"},
        {"storage": "int8"},
        {"n": "5"},
        {"n": 4},
        {"d": 3},
        {"parts": {}},
        {"parts": 7},
        {"parts": {"vectors": {"name": "../../x"}, "entries": {"name": "/etc/passwd"}}},
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    Index.build(texts(5), vectors(5), MODEL).save(tmp_path)
    manifest = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps(manifest | change))
    with pytest.raises(IntelError, match="damaged"):
        Index.load(tmp_path, model=MODEL)


@settings(max_examples=80, deadline=None)
@given(data=st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_manifest_is_survived(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "index-fuzz"
    path.mkdir(exist_ok=True)
    (path / "index.json").write_bytes(data)
    with pytest.raises(IntelError):
        Index.load(path, model=None)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(IntelError, match="no index here"):
        Index.load(tmp_path / "absent", model=MODEL)
