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

from .bundle import Bundle, load_tensors
from .errors import BundleError
from .features import Grams, features

Vectors = NDArray[np.float32]


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
        (raw,) = self._model.run(texts)
        return unit(raw - self._mean)


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

    def run(self, texts: Sequence[str]) -> list[Vectors]:
        """Every output of the model for all texts, in batches of like length."""
        words, session = self._parts
        rows = [c.ids for c in words.encode_batch([t[: self._length * 16] for t in texts])]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        parts: list[list[Vectors]] = []
        for start in range(0, len(order), 32):
            some = [rows[i] for i in order[start : start + 32]]
            ids = np.zeros((len(some), max(map(len, some))), np.int64)
            for i, row in enumerate(some):
                ids[i, : len(row)] = row
            parts.append(session.run(None, {"ids": ids, "mask": (ids != 0).astype(np.int64)}))
        back = np.argsort(order)
        return [np.concatenate(out)[back] for out in zip(*parts, strict=True)]


class HashedEncoder:
    """The hashed n-gram tower (`model/payload.py`) in NumPy; its table is int8 with one scale a column."""

    def __init__(self, folder: Path, grams: Grams) -> None:
        w = load_tensors(folder / "payload.safetensors")
        self._grams = grams
        self._table, self._scale = w["table"], w["scale"]
        self._norm, self._hidden, self._out, self._attack = (
            (w[f"{part}.weight"], w[f"{part}.bias"]) for part in ("norm", "hidden", "out", "attack")
        )
        if self._table.shape[0] != 1 << grams.bits:
            raise BundleError("the table does not fit the n-gram settings", where=str(folder))

    def encode(self, instances: Sequence[bytes]) -> tuple[Vectors, Vectors]:
        hidden = self._activations(instances)
        vectors = unit(hidden @ self._out[0].T + self._out[1])
        return vectors, (hidden @ self._attack[0].T + self._attack[1])[:, 0]

    def _activations(self, instances: Sequence[bytes]) -> Vectors:
        ids, offsets = features(instances, self._grams)
        bags = np.zeros((len(instances), self._table.shape[1]), np.float32)
        filled = np.flatnonzero(np.diff(offsets))
        if len(filled):
            sums = np.add.reduceat(self._table[ids], offsets[filled], axis=0, dtype=np.int32)
            bags[filled] = sums * self._scale
        bags -= bags.mean(-1, keepdims=True)
        bags /= np.sqrt((bags**2).mean(-1, keepdims=True) + 1e-5)
        hidden = (bags * self._norm[0] + self._norm[1]) @ self._hidden[0].T + self._hidden[1]
        return gelu(hidden)


def gelu(x: Vectors) -> Vectors:
    """The tanh form of GELU (Hendrycks and Gimpel 2016), within 1e-3 of the exact one."""
    inner = np.float32(0.7978845608) * (x + np.float32(0.044715) * x * x * x)
    return np.asarray(np.float32(0.5) * x * (1 + np.tanh(inner)), np.float32)


class LanguageModelEncoder:
    """A language model as payload tower: instances are read as text. Slow, and better at language."""

    def __init__(self, folder: Path) -> None:
        self._model = LanguageModel(folder / "payload.onnx", folder / "tokenizer.json", 112)

    def encode(self, instances: Sequence[bytes]) -> tuple[Vectors, Vectors]:
        vectors, logits = self._model.run([i.decode("latin-1") for i in instances])
        return unit(vectors), logits


def payload_encoder(bundle: Bundle) -> PayloadEncoder:
    """The payload tower a bundle holds."""
    if bundle.tower == "hashed":
        return HashedEncoder(bundle.path, bundle.grams)
    if bundle.tower == "language-model":
        return LanguageModelEncoder(bundle.path)
    raise BundleError(f"unknown payload tower {bundle.tower!r}", where=str(bundle.path))
