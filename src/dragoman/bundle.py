"""Reading a model bundle: a directory whose parts are listed with their SHA-256 in ``bundle.json``.

    bundle.json            format, name, settings, thresholds, classes, digests of the other parts
    text.onnx              text tower, int8; ids and mask (B, T) -> (B, 384)
    tokenizer.json         its WordPiece vocabulary
    payload.safetensors    hashed payload tower (or payload.onnx: a language model as payload tower)
    space.safetensors      mean (384,), class vectors (C, 384)
    index/                 the shipped intelligence, and the place words of its CVEs (`places.py`)
    MODEL_CARD.md          data, licences, figures

No part is executable or pickled. ``space`` is the digest of what maps texts to vectors:
intelligence made in one space fits every bundle of that space.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BundleError
from .features import Grams

FORMAT = 1
CARD = "MODEL_CARD.md"
SHIPPED = Path(__file__).parent / "bundles" / "base"
DIM = 384  # length of every vector
TOWERS = {"hashed": "payload.safetensors", "language-model": "payload.onnx"}
_PARTS = {"text.onnx", "tokenizer.json", "space.safetensors", "index/index.json"}
_MAX_JSON = 4 << 20
_MAX_BITS, _MAX_GRAM = 22, 16
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
    card: dict[str, Any]


def load(path: str | Path | None = None) -> Bundle:
    """Read and check a bundle; None is the shipped one.

    Raises:
        BundleError: missing, damaged, of another format, or a part's digest differs.
    """
    folder = Path(path) if path is not None else SHIPPED
    manifest = folder / "bundle.json"
    try:
        raw = _read_manifest(manifest)
        data = json.loads(raw)
        if data["format"] != FORMAT:
            raise BundleError(f"format {data['format']!r:.20} is not {FORMAT}", where=str(manifest))
        if lacking := sorted({*_PARTS, TOWERS[data["tower"]]} - data["files"].keys()):
            raise BundleError(f"no digest of {', '.join(lacking)}", where=str(manifest), hint=_HINT)
        for name, digest in data["files"].items():
            _check(folder, name, digest)
        return _bundle(folder, data, identity(data))
    except OSError as err:
        where = str(err.filename or manifest)
        raise BundleError(f"no bundle: {err.strerror}", where=where, hint=_HINT) from err
    except _DAMAGE as err:
        raise BundleError(f"damaged bundle: {err!r:.200}", where=str(manifest), hint=_HINT) from err


_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)


def _read_manifest(path: Path) -> bytes:
    """The bytes of ``bundle.json``; a pipe or a device would never end."""
    if path.exists() and not path.is_file():
        raise ValueError("bundle.json is not a file")
    with path.open("rb") as file:
        raw = file.read(_MAX_JSON + 1)
    if len(raw) > _MAX_JSON:
        raise ValueError(f"bundle.json is longer than {_MAX_JSON} bytes")
    return raw


def identity(manifest: dict[str, Any]) -> str:
    """The bundle's digest: all that bears on a verdict; what its card says about it does not."""
    parts = {name: digest for name, digest in manifest["files"].items() if name != CARD}
    said = {k: v for k, v in manifest.items() if k != "card"} | {"files": parts}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _check(folder: Path, name: str, digest: str) -> None:
    part = folder / name
    if folder.resolve() not in part.resolve().parents:
        raise BundleError(f"part {name!r} lies outside the bundle", where=str(folder), hint=_HINT)
    if part.exists() and not part.is_file():
        raise BundleError("the part is not a file", where=str(part), hint=_HINT)
    with part.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != digest:
            raise BundleError("the part's SHA-256 differs", where=str(part), hint=_HINT)


def _bundle(folder: Path, data: dict[str, Any], digest: str) -> Bundle:
    classes = tuple(ClassInfo(**c) for c in data["classes"])
    if not all(isinstance(v, str) for c in classes for v in (c.id, c.slug, c.title, c.severity)):
        raise ValueError("a class is not named in text")
    if not all(isinstance(data[key], str) for key in ("name", "space", "tower")):
        raise ValueError("name, space and tower are text")
    if not isinstance(data["card"], dict):
        raise ValueError("the card is a table")
    path = folder / "space.safetensors"
    space = load_tensors(path)
    mean = tensor(space, "mean", (DIM,), path)
    class_vectors = tensor(space, "classes", (len(classes), DIM), path)
    return Bundle(
        path=folder,
        name=data["name"],
        digest=digest,
        space=data["space"],
        tower=data["tower"],
        grams=_grams(data["grams"]),
        threshold=_within(data["threshold"], 0, "threshold"),
        known=_within(data["known"], -1, "known"),
        classes=classes,
        class_vectors=class_vectors,
        mean=mean,
        card=data["card"],
    )


def _within(value: Any, low: float, name: str) -> float:
    """A threshold; calibration may put it just above 1, so that nothing reaches it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} is not a number")
    if not (math.isfinite(value) and low <= value <= 1 + 1e-6):
        raise ValueError(f"{name} is {value}, not within {low} and 1")
    return float(value)


def _grams(data: dict[str, Any]) -> Grams:
    values: dict[str, Any] = {k: tuple(v) if type(v) is list else v for k, v in data.items()}
    grams = Grams(**values)
    lengths = (*grams.chars, *grams.tokens, *grams.skeleton)
    if not all(type(n) is int and 1 <= n <= _MAX_GRAM for n in lengths):
        raise ValueError(f"lengths of n-grams are not within 1 and {_MAX_GRAM}")
    if type(grams.bits) is not int or not 1 <= grams.bits <= _MAX_BITS:
        raise ValueError(f"bits is not within 1 and {_MAX_BITS}")
    return grams


def tensor(
    tensors: dict[str, NDArray[Any]], name: str, shape: tuple[int, ...], path: Path
) -> NDArray[np.float32]:
    """The float32 tensor ``name``, checked: its shape, and no value that could overflow.

    Raises:
        BundleError: it is missing, of another shape or type, or holds NaN or values beyond 10,000.
    """
    found = tensors.get(name)
    if found is None or found.shape != shape or found.dtype != np.float32:
        is_ = "missing" if found is None else f"{found.dtype} {found.shape}"
        raise BundleError(f"{name} is {is_}, not float32 {shape}", where=str(path), hint=_HINT)
    if not (np.abs(found) <= 1e4).all():  # false for NaN
        raise BundleError(f"{name} holds values out of range", where=str(path), hint=_HINT)
    return found


def load_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """A safetensors file as NumPy arrays.

    Raises:
        BundleError: not a safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, *_DAMAGE) as err:
        raise BundleError(f"cannot read tensors: {err}", where=str(path), hint=_HINT) from err
