"""Exact cosine search over the vectors of intelligence texts.

On disk an index is a directory: ``index.json`` (model digest, storage, SHA-256 of the parts) names
``vectors.<hash>.safetensors`` and ``entries.<hash>.jsonl``. A save writes new parts first and then
replaces ``index.json`` in one step, so a crash leaves the old index whole.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from .errors import IntelError
from .records import Hit, Text, TextKind

Storage = Literal["float32", "float16", "int8"]
Floats = NDArray[np.float32]

FORMAT = 1
KINDS = get_args(TextKind)  # a kind is stored as its number: append, never reorder
ROWS, QUERIES = 16_384, 256  # one block of scores is at most 16 MiB
DENSE_BYTES = 256 << 20  # stored vectors up to this size are expanded to float32 once and kept
EPSILON = 1e-6  # scores closer than this are a tie, broken by id
PART = re.compile(r"(vectors|entries)\.[0-9a-f]{16}\.(safetensors|jsonl)")
FIELDS = {f.name: f.default for f in dataclasses.fields(Text)}
LISTS = [name for name, default in FIELDS.items() if isinstance(default, tuple)]


class Index:
    """Texts and their unit vectors, rows sorted by id. ``merge`` and ``without`` give new ones."""

    def __init__(
        self, lines: list[bytes], arrays: dict[str, NDArray[Any]], model: str, storage: Storage
    ) -> None:
        self._lines, self._arrays = lines, arrays
        self.model, self.storage = model, storage

    @classmethod
    def build(
        cls,
        texts: Sequence[Text],
        vectors: NDArray[Any],
        model: str,
        *,
        storage: Storage = "float32",
        body: bool = True,
    ) -> Index:
        """Index ``texts`` by ``vectors`` (n, d), any finite non-zero rows; they are L2-normalised.

        ``model`` is the digest of the encoder that made the vectors. ``storage`` ``int8`` keeps one
        scale per row. With ``body=False`` neither body nor looks are kept.

        Raises:
            IntelError: shapes that do not match, a repeated id, a row without direction.
        """
        rows = np.asarray(vectors, dtype=np.float32)
        if rows.ndim != 2 or len(rows) != len(texts):
            raise IntelError(f"{len(texts)} texts but vectors of shape {rows.shape}")
        order = sorted(range(len(texts)), key=lambda i: texts[i].id)
        for a, b in pairwise(order):
            if texts[a].id == texts[b].id:
                raise IntelError(f"the id {texts[a].id} occurs twice")
        lines = [_line(texts[i], body=body) for i in order]
        kind = np.array([KINDS.index(texts[i].kind) for i in order], dtype=np.uint8)
        return cls(lines, {**_pack(_unit(rows[order]), storage), "kind": kind}, model, storage)

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def dim(self) -> int:
        """Length of one vector."""
        return int(self._arrays["vectors"].shape[1])

    @cached_property
    def version(self) -> str:
        """Twelve hex digits that change exactly when the texts change (not the model)."""
        return hashlib.sha256(b"".join(self._lines)).hexdigest()[:12]

    def texts(self) -> list[Text]:
        """All entries in order of id; body and looks are empty where they were not kept."""
        return [_text(entry) for entry in _entries(self._lines)]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Row of each id."""
        return {str(entry["id"]): row for row, entry in enumerate(_entries(self._lines))}

    def text(self, id: str) -> Text:
        """The entry with this id. Raises IntelError if there is none."""
        return self._at(self._rows([id])[0])

    def vectors_of(self, ids: Iterable[str]) -> Floats:
        """Unit vectors (len(ids), d). Raises IntelError for an unknown id."""
        rows = np.array(self._rows(ids), dtype=np.intp)
        return self._dense[rows] if self._keeps_dense else self._unpack(rows)

    def search(
        self, queries: NDArray[Any], k: int, kinds: Iterable[str] | None = None
    ) -> list[list[Hit]]:
        """The ``k`` nearest texts of each query (q, d), best first; equal scores in order of id.

        ``kinds`` restricts the search to those kinds of text.
        """
        q = np.asarray(queries, dtype=np.float32)
        if q.ndim != 2 or (len(self) and q.shape[1] != self.dim):
            raise IntelError(f"queries of shape {q.shape} for vectors of length {self.dim}")
        norm = np.linalg.norm(q, axis=1, keepdims=True)
        q = (q / np.where(norm > 0, norm, 1)).astype(np.float32)
        rows = np.arange(len(self)) if kinds is None else self.rows_of(kinds)
        hits: list[list[Hit]] = []
        for start in range(0, len(q), QUERIES):
            hits += self._search(q[start : start + QUERIES], rows, k)
        return hits

    def cosines(self, queries: Floats, rows: NDArray[np.intp]) -> Floats:
        """Cosine similarity (n, len(rows)) of unit vectors (n, d) to the texts of these rows."""
        out = np.empty((len(queries), len(rows)), np.float32)
        for at in range(0, len(rows), ROWS):
            out[:, at : at + ROWS] = queries @ self._block(rows[at : at + ROWS]).T
        return out

    def hit(self, row: int, score: float) -> Hit:
        """The text of a row as a hit."""
        text = self._at(row)
        return Hit(text.id, text.title, text.source, score)

    def merge(self, other: Index) -> Index:
        """Both indexes as one; texts of ``other`` replace those with the same id.

        Raises:
            IntelError: the vectors come from different models.
        """
        if self.model != other.model and len(other) and len(self):
            raise _foreign(other.model, self.model, "merge")
        if not len(other) or not len(self):
            return self if len(self) else other
        mine = [row for i, row in self.ids.items() if i not in other.ids]
        theirs = {**_pack(other._unpack(slice(None)), self.storage), "kind": other._arrays["kind"]}
        lines = [*(self._lines[row] for row in mine), *other._lines]
        ids = [*(i for i in self.ids if i not in other.ids), *other.ids]
        order = sorted(range(len(ids)), key=ids.__getitem__)
        arrays = {n: np.concatenate([a[mine], theirs[n]])[order] for n, a in self._arrays.items()}
        return Index([lines[row] for row in order], arrays, self.model, self.storage)

    def without(self, ids: Iterable[str]) -> Index:
        """The index less these ids; unknown ones are ignored."""
        gone = set(ids)
        keep = [row for i, row in self.ids.items() if i not in gone]
        arrays = {name: array[keep] for name, array in self._arrays.items()}
        return Index([self._lines[row] for row in keep], arrays, self.model, self.storage)

    def save(self, directory: str | Path) -> None:
        """Write the index in one step: until it is done, or after a crash, the old one is valid."""
        path = Path(directory)
        path.mkdir(parents=True, exist_ok=True)
        vectors = safetensors.numpy.save(self._arrays)
        parts = {
            "vectors": _write_part(path, "vectors", "safetensors", vectors),
            "entries": _write_part(path, "entries", "jsonl", b"".join(self._lines)),
        }
        manifest = {
            "format": FORMAT,
            "model": self.model,
            "storage": self.storage,
            "n": len(self),
            "d": self.dim,
            "parts": parts,
        }
        _replace(path / "index.json", json.dumps(manifest, indent=1).encode())
        names = {part["name"] for part in parts.values()}
        for file in path.iterdir():  # parts of older saves, and of saves that did not end
            if PART.match(file.name.lstrip(".")) and file.name not in names:
                file.unlink(missing_ok=True)

    @classmethod
    def load(cls, directory: str | Path, *, model: str | None) -> Index:
        """Read an index made by ``save``; ``model=None`` takes any model (to read the texts only).

        Raises:
            IntelError: missing, damaged, tampered with, or made by another model.
        """
        path = Path(directory)
        manifest = _manifest(path)
        if model is not None and manifest["model"] != model:
            raise _foreign(manifest["model"], model, str(path))
        try:
            arrays = safetensors.numpy.load(_read_part(path, manifest, "vectors"))
        except safetensors.SafetensorError as err:
            raise _damaged(path, f"vectors: {err}") from err
        lines = _read_part(path, manifest, "entries").splitlines(keepends=True)
        storage = manifest["storage"]
        shapes = {"vectors": (manifest["n"], manifest["d"]), "kind": (manifest["n"],)}
        if storage == "int8":
            shapes["scale"] = (manifest["n"], 1)
        dtypes = {"vectors": storage, "kind": "uint8", "scale": "float32"}
        if len(lines) != manifest["n"] or arrays.keys() != shapes.keys():
            raise _damaged(path, "the parts do not fit together")
        for name, array in arrays.items():
            if array.shape != shapes[name] or array.dtype != dtypes[name]:
                raise _damaged(path, f"{name} is {array.dtype} {array.shape}")
        return cls(lines, arrays, manifest["model"], storage)

    def _rows(self, ids: Iterable[str]) -> list[int]:
        try:
            return [self.ids[i] for i in ids]
        except KeyError as err:
            raise IntelError(f"no text has the id {err.args[0]}") from None

    def rows_of(self, kinds: Iterable[str]) -> NDArray[np.intp]:
        """Rows of the texts of these kinds, ascending."""
        codes = [KINDS.index(kind) for kind in kinds if kind in KINDS]
        return np.flatnonzero(np.isin(self._arrays["kind"], codes))

    @property
    def _keeps_dense(self) -> bool:
        return len(self) * self.dim * 4 <= DENSE_BYTES

    @cached_property
    def _dense(self) -> Floats:
        return self._unpack(slice(None))

    def _unpack(self, rows: slice | NDArray[np.intp]) -> Floats:
        """Stored rows as unit float32 vectors; undoes what rounding did to their length."""
        vectors: NDArray[Any] = self._arrays["vectors"][rows]
        return vectors if vectors.dtype == np.float32 else _unit(vectors.astype(np.float32))

    def _block(self, rows: NDArray[np.intp]) -> Floats:
        adjacent = int(rows[-1] - rows[0]) == len(rows) - 1
        chosen = slice(int(rows[0]), int(rows[-1]) + 1) if adjacent else rows
        return self._dense[chosen] if self._keeps_dense else self._unpack(chosen)

    def _search(self, q: Floats, rows: NDArray[np.intp], k: int) -> list[list[Hit]]:
        """Top k of a block of queries: keep, block by block, what may still be among the best."""
        asked: NDArray[Any] = np.empty(0, dtype=np.intp)
        found = asked
        score: NDArray[Any] = np.empty(0, dtype=np.float32)
        for start in range(0, len(rows) if k > 0 else 0, ROWS):
            part = rows[start : start + ROWS]
            scores = q @ self._block(part).T
            kth = max(len(part) - k, 0)
            least = np.partition(scores, kth, axis=1)[:, [kth]]
            query, column = np.nonzero(scores >= least - EPSILON)
            asked = np.concatenate([asked, query])
            score = np.concatenate([score, scores[query, column]])
            found = np.concatenate([found, part[column]])
            order = np.lexsort((found, -np.round(score, 6), asked))
            asked, score, found = asked[order], score[order], found[order]
            first = np.searchsorted(asked, asked)  # where each query's candidates begin
            best = np.arange(len(asked)) - first < k
            asked, score, found = asked[best], score[best], found[best]
        bounds = np.searchsorted(asked, np.arange(len(q) + 1))
        return [
            [self.hit(int(r), float(s)) for r, s in zip(found[a:b], score[a:b], strict=True)]
            for a, b in pairwise(bounds)
        ]

    def _at(self, row: int) -> Text:
        return _text(_entries(self._lines[row : row + 1])[0])


def _unit(rows: Floats) -> Floats:
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.isfinite(norm).all() and (norm > 0).all()):
        raise IntelError("a vector is zero or not finite", hint="encode the texts again")
    return np.asarray(rows / norm, dtype=np.float32)


def _pack(rows: Floats, storage: Storage) -> dict[str, NDArray[Any]]:
    if storage != "int8":
        return {"vectors": np.ascontiguousarray(rows, dtype=storage)}
    scale = np.abs(rows).max(axis=1, keepdims=True, initial=1e-9) / 127
    return {"vectors": np.rint(rows / scale).astype(np.int8), "scale": scale.astype(np.float32)}


def _line(text: Text, *, body: bool) -> bytes:
    """One JSON line with the fields that differ from their default."""
    entry = {name: getattr(text, name) for name, default in FIELDS.items()}
    entry = {name: value for name, value in entry.items() if value != FIELDS[name]}
    if not body:
        entry.pop("looks", None)
        entry.pop("body")
    return json.dumps(entry, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def _entries(lines: list[bytes]) -> list[dict[str, Any]]:
    try:
        entries = json.loads(b"[" + b",".join(lines) + b"]")
        if len(entries) == len(lines) and all(type(entry["id"]) is str for entry in entries):
            return list(entries)
    except (ValueError, TypeError, KeyError, RecursionError) as err:
        raise IntelError(f"an index entry cannot be read: {err}") from err
    raise IntelError("an index entry cannot be read")


def _text(entry: dict[str, Any]) -> Text:
    try:
        lists = {name: tuple(entry.get(name, ())) for name in LISTS}
        return Text(**{"body": "", **entry, **lists})
    except TypeError as err:
        raise IntelError(f"an index entry cannot be read: {err}") from err


def _write_part(path: Path, stem: str, ending: str, data: bytes) -> dict[str, str]:
    digest = hashlib.sha256(data).hexdigest()
    name = f"{stem}.{digest[:16]}.{ending}"
    _replace(path / name, data)
    return {"name": name, "sha256": digest}


def _replace(target: Path, data: bytes) -> None:
    temporary = target.with_name(f".{target.name}.new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(target)


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / "index.json").read_bytes())
        names = [manifest["parts"][stem]["name"] for stem in ("vectors", "entries")]
        sizes_fit = all(type(manifest[key]) is int for key in ("n", "d"))
        fits = manifest["format"] == FORMAT and manifest["storage"] in get_args(Storage)
    except FileNotFoundError as err:
        raise IntelError("no index here", where=str(path)) from err
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as err:
        raise _damaged(path, f"index.json: {err!r}") from err
    if not (fits and sizes_fit and all(PART.fullmatch(str(name)) for name in names)):
        raise _damaged(path, "index.json is not of this version")
    return dict(manifest)


def _read_part(path: Path, manifest: dict[str, Any], stem: str) -> bytes:
    part = manifest["parts"][stem]
    try:
        data = path.joinpath(str(part["name"])).read_bytes()
    except OSError as err:
        raise _damaged(path, f"{part['name']} cannot be read: {err.strerror}") from err
    if hashlib.sha256(data).hexdigest() != part.get("sha256"):
        raise _damaged(path, f"{part['name']} does not match its SHA-256")
    return data


def _damaged(path: Path, what: str) -> IntelError:
    return IntelError(what, where=str(path), hint="the index is damaged: build it again")


def _foreign(theirs: str, ours: str, where: str) -> IntelError:
    return IntelError(
        f"the vectors were made by model {theirs[:12]}, not {ours[:12]}",
        where=where,
        hint="encode the texts again with the model in use",
    )
