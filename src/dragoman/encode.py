"""Torch-free inference: texts and payload instances to unit vectors of one space.

Shapes: a text encoder maps n strings to (n, 384); a payload encoder maps n instances to vectors
(n, 384) and attack logits (n,).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .bundle import DIM, Bundle, load_tensors, tensor
from .errors import BundleError
from .features import Grams, features

Vectors = NDArray[np.float32]

_MOST = 100.0  # an attack logit beyond is as sure as can be


class PayloadEncoder(Protocol):
    """Anything that reads instances."""

    def encode(self, instances: Sequence[bytes]) -> tuple[Vectors, Vectors]:
        """Unit vectors (n, 384) and attack logits (n,)."""


def unit(vectors: NDArray[Any]) -> Vectors:
    """Rows scaled to length one; a zero row stays zero."""
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norm, 1e-9), np.float32)


class TextEncoder:
    """The bundle's text tower through onnxruntime; centred on the space's mean."""

    def __init__(self, folder: Path, mean: Vectors, length: int = 128) -> None:
        self._model = LanguageModel(folder / "text.onnx", folder / "tokenizer.json", length)
        self._mean = mean

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors (n, 384)."""
        return self.together([[text] for text in texts])

    def together(self, groups: Sequence[Sequence[str]]) -> Vectors:
        """A unit vector (n, 384) for each group of texts: their mean, centred as in training."""
        (raw,) = self._model.run([text for group in groups for text in group], ((DIM,),))
        ends = np.cumsum([len(group) for group in groups])
        means = [part.mean(0) for part in np.split(unit(raw), ends)[:-1]]
        return unit(unit(np.reshape(means, (-1, DIM))) - self._mean)


class LanguageModel:
    """A tokenizer and an ONNX model that takes ids and mask (B, T)."""

    def __init__(self, model: Path, tokenizer: Path, length: int) -> None:
        self._model, self._tokenizer, self._length = model, tokenizer, length

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        import onnxruntime
        from tokenizers import Tokenizer

        try:
            words = Tokenizer.from_file(str(self._tokenizer))
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            session = onnxruntime.InferenceSession(
                str(self._model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as err:  # both libraries raise bare Exceptions of their own
            raise BundleError(f"cannot load the model: {err}", where=str(self._model)) from err
        words.no_padding()
        words.enable_truncation(self._length)
        return words, session

    def run(self, texts: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> list[Vectors]:
        """Every output of the model for all texts, in batches of like length.

        ``shapes`` are those of one text's outputs.

        Raises:
            BundleError: the model cannot be loaded or run, or gives other outputs.
        """
        if not texts:
            return [np.zeros((0, *shape), np.float32) for shape in shapes]
        words, session = self._parts
        plain = [t[: self._length * 16].encode("utf-8", "replace").decode() for t in texts]
        rows = [c.ids for c in words.encode_batch(plain)]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        parts: list[list[Vectors]] = []
        for start in range(0, len(order), 32):
            some = [rows[i] for i in order[start : start + 32]]
            ids = np.zeros((len(some), max(map(len, some))), np.int64)
            for i, row in enumerate(some):
                ids[i, : len(row)] = row
            parts.append(self._outputs(session, ids, shapes))
        back = np.argsort(order)
        return [np.concatenate(out)[back] for out in zip(*parts, strict=True)]

    def _outputs(
        self, session: Any, ids: NDArray[np.int64], shapes: Sequence[tuple[int, ...]]
    ) -> list[Vectors]:
        try:
            outputs = session.run(None, {"ids": ids, "mask": (ids != 0).astype(np.int64)})
        except Exception as err:  # onnxruntime raises bare Exceptions of its own
            raise BundleError(f"cannot run the model: {err}", where=str(self._model)) from err
        found = [getattr(out, "shape", None) for out in outputs]
        if found != [(len(ids), *shape) for shape in shapes]:
            raise BundleError("the model gives other outputs", where=str(self._model))
        if not all(np.isfinite(out).all() for out in outputs):
            raise BundleError("the model gives no finite numbers", where=str(self._model))
        return list(outputs)


class HashedEncoder:
    """The hashed n-gram tower (`model/payload.py`) in NumPy; an int8 table scaled by column."""

    def __init__(self, folder: Path, grams: Grams) -> None:
        path = folder / "payload.safetensors"
        w = load_tensors(path)
        table, hidden = w.get("table"), w.get("hidden.bias")
        if table is None or hidden is None or table.ndim != 2 or hidden.ndim != 1:
            raise BundleError("not a hashed payload tower", where=str(path))
        if table.dtype != np.int8 or len(table) != 1 << grams.bits:
            raise BundleError("the table does not fit the n-gram settings", where=str(path))
        width, middle = table.shape[1], len(hidden)
        self._grams, self._table = grams, table
        self._scale = tensor(w, "scale", (width,), path)
        self._norm, self._hidden, self._out, self._attack = (
            (tensor(w, f"{part}.weight", shape, path), tensor(w, f"{part}.bias", shape[:1], path))
            for part, shape in (
                ("norm", (width,)),
                ("hidden", (middle, width)),
                ("out", (DIM, middle)),
                ("attack", (1, middle)),
            )
        )

    def encode(self, instances: Sequence[bytes]) -> tuple[Vectors, Vectors]:
        hidden = self._activations(instances)
        vectors = unit(hidden @ self._out[0].T + self._out[1])
        logits = (hidden @ self._attack[0].T + self._attack[1])[:, 0]
        return vectors, np.clip(logits, -_MOST, _MOST)

    def _activations(self, instances: Sequence[bytes]) -> Vectors:
        ids, offsets = features(instances, self._grams)
        sizes = np.diff(offsets)
        bags = np.zeros((len(instances), self._table.shape[1]), np.float32)
        ones = np.ones(sizes.max(initial=0), np.float32)
        # A product with a row of ones sums a bag sixteen times as fast as np.add.reduceat does.
        for i in np.flatnonzero(sizes):
            rows = self._table.take(ids[offsets[i] : offsets[i + 1]], axis=0)
            bags[i] = ones[: sizes[i]] @ rows.astype(np.float32)
        bags *= self._scale
        bags -= bags.mean(-1, keepdims=True)
        bags /= np.sqrt((bags**2).mean(-1, keepdims=True) + 1e-5)
        hidden = (bags * self._norm[0] + self._norm[1]) @ self._hidden[0].T + self._hidden[1]
        return gelu(np.asarray(hidden, np.float32))


def gelu(x: Vectors) -> Vectors:
    """The tanh form of GELU (Hendrycks and Gimpel 2016), within 1e-3 of the exact one."""
    inner = np.float32(0.7978845608) * (x + np.float32(0.044715) * x * x * x)
    return np.asarray(np.float32(0.5) * x * (1 + np.tanh(inner)), np.float32)


class LanguageModelEncoder:
    """A language model as payload tower: it reads instances as text. Slow, better at language."""

    def __init__(self, folder: Path) -> None:
        self._model = LanguageModel(folder / "payload.onnx", folder / "tokenizer.json", 112)

    def encode(self, instances: Sequence[bytes]) -> tuple[Vectors, Vectors]:
        vectors, logits = self._model.run([i.decode("latin-1") for i in instances], ((DIM,), ()))
        return unit(vectors), np.clip(logits, -_MOST, _MOST)


def payload_encoder(bundle: Bundle) -> PayloadEncoder:
    """The payload tower a bundle holds."""
    if bundle.tower == "hashed":
        return HashedEncoder(bundle.path, bundle.grams)
    if bundle.tower == "language-model":
        return LanguageModelEncoder(bundle.path)
    raise BundleError(f"unknown payload tower {bundle.tower!r}", where=str(bundle.path))
