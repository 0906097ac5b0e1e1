"""Reading a model bundle: a directory whose parts are listed with their SHA-256 in ``bundle.json``.

    bundle.json            format, name, settings, thresholds, classes, digests of the other parts
    text.onnx              text tower, int8; ids and mask (B, T) -> (B, 384)
    tokenizer.json         its WordPiece vocabulary
    payload.safetensors    hashed payload tower (or payload.onnx: a language model as payload tower)
    space.safetensors      mean (384,), class vectors (C, 384), benign reference vectors (R, 384)
    index/                 the shipped intelligence index
    MODEL_CARD.md          data, licences, figures

No part is executable or pickled. ``space`` is the digest of what maps texts to vectors: intelligence made
in one space fits every bundle of that space.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BundleError
from .features import Grams

FORMAT = 1
SHIPPED = Path(__file__).parent / "bundles" / "base"
_MAX_JSON = 4 << 20
_HINT = "use a directory written by `dragoman train`, or leave --bundle out for the shipped one"


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """A threat class the bundle was aligned to."""

    id: str
    slug: str
    title: str
    severity: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """A checked bundle. Vectors are unit length, centred on the space's mean."""

    path: Path
    name: str
    digest: str
    space: str
    tower: str  # "hashed" or "language-model"
    grams: Grams
    threshold: float  # attack score from which a record is a finding
    known: float  # class similarity from which a finding is named, else "unknown"
    classes: tuple[ClassInfo, ...]
    class_vectors: NDArray[np.float32]
    mean: NDArray[np.float32]
    benign: NDArray[np.float32]
    card: dict[str, Any]


def load(path: str | Path | None = None) -> Bundle:
    """Read and check a bundle; None is the shipped one.

    Raises:
        BundleError: missing, damaged, of another format, or a part's digest differs.
    """
    folder = Path(path) if path is not None else SHIPPED
    manifest = folder / "bundle.json"
    try:
        raw = manifest.read_bytes() if manifest.stat().st_size <= _MAX_JSON else b""
        data = json.loads(raw)
        if data["format"] != FORMAT:
            raise BundleError(f"format {data['format']} is not {FORMAT}", where=str(manifest))
        for name, digest in data["files"].items():
            _check(folder, name, digest)
        return _bundle(folder, data, hashlib.sha256(raw).hexdigest())
    except OSError as err:
        raise BundleError(f"no bundle: {err.strerror}", where=str(manifest), hint=_HINT) from err
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise BundleError(f"damaged bundle: {err!r}", where=str(manifest), hint=_HINT) from err


def _check(folder: Path, name: str, digest: str) -> None:
    part = folder / name
    if folder.resolve() not in part.resolve().parents:
        raise BundleError(f"part {name!r} lies outside the bundle", where=str(folder))
    with part.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != digest:
            raise BundleError("the part's SHA-256 differs", where=str(part), hint=_HINT)


def _bundle(folder: Path, data: dict[str, Any], digest: str) -> Bundle:
    space = load_tensors(folder / "space.safetensors")
    classes = tuple(ClassInfo(**c) for c in data["classes"])
    if space["classes"].shape != (len(classes), len(space["mean"])):
        raise BundleError("class vectors do not fit the classes", where=str(folder))
    return Bundle(
        path=folder,
        name=str(data["name"]),
        digest=digest,
        space=str(data["space"]),
        tower=str(data["tower"]),
        grams=Grams(**{k: tuple(v) if isinstance(v, list) else v for k, v in data["grams"].items()}),
        threshold=float(data["threshold"]),
        known=float(data["known"]),
        classes=classes,
        class_vectors=space["classes"],
        mean=space["mean"],
        benign=space["benign"],
        card=dict(data["card"]),
    )


def load_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """A safetensors file as NumPy arrays.

    Raises:
        BundleError: not a safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as err:
        raise BundleError(f"cannot read tensors: {err}", where=str(path), hint=_HINT) from err
