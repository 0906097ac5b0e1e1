"""Writing a bundle: every part and its SHA-256; the directory is replaced in one step."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor

from .. import places
from ..bundle import FORMAT
from ..encode import HashedEncoder, LanguageModelEncoder, PayloadEncoder, TextEncoder
from ..features import Grams
from ..index import Index
from ..recipe import Recipe
from ..records import Text
from . import export
from .language import LanguageTower
from .payload import HashedTower
from .text import TextTower, minilm_files


class Parts(NamedTuple):
    """What a bundle is made of."""

    text: TextTower
    payload: HashedTower | LanguageTower
    mean: Tensor  # (384,)
    classes: list[Text]
    class_vectors: Tensor  # (C, 384)
    anchors: Tensor  # (11, 384) what the payload tower was pulled onto
    threats: list[Text]
    threat_vectors: NDArray[np.float32]
    cves: list[Text]  # the index keeps their ids and vectors, no text


def write_bundle(
    to: Path,
    recipe: Recipe,
    parts: Parts,
    card: dict[str, Any],
    calibrated: Callable[[PayloadEncoder], dict[str, Any]],
) -> dict[str, Any]:
    """Write a bundle that :func:`dragoman.bundle.load` accepts; returns its card.

    ``calibrated`` gives thresholds and figures for the tower as it ships, int8 and without torch.
    """
    fresh = to.with_name(to.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    export.text_tower(parts.text, fresh / "text.onnx", quantize=recipe.index.quantize)
    shutil.copy(minilm_files() / "tokenizer.json", fresh / "tokenizer.json")
    card = {**card, **calibrated(_payload_tower(recipe, parts, fresh))}
    space = {
        "mean": parts.mean.numpy(),
        "classes": np.ascontiguousarray(parts.class_vectors.numpy()),
    }
    save_file(space, fresh / "space.safetensors")
    digest = hashlib.sha256((fresh / "text.onnx").read_bytes() + space["mean"].tobytes())
    _index(parts, fresh, digest.hexdigest()).save(fresh / "index")
    cves = sorted(parts.cves, key=lambda t: t.id)
    save_file(places.build(cves), fresh / "index" / "places.safetensors")
    (fresh / "MODEL_CARD.md").write_text(model_card(recipe.name, card), "utf-8")
    _manifest(fresh, recipe, parts, card, digest.hexdigest())
    shutil.rmtree(to, ignore_errors=True)
    fresh.replace(to)
    return card


def _payload_tower(recipe: Recipe, parts: Parts, folder: Path) -> PayloadEncoder:
    """Write the payload tower and read it back as inference does."""
    if isinstance(parts.payload, HashedTower):
        export.hashed_tower(parts.payload, folder / "payload.safetensors")
        s = recipe.stage2
        return HashedEncoder(folder, Grams(s.bits, s.chars, s.tokens, s.skeleton))
    detects = recipe.stage2.detection > 0
    export.language_tower(parts.payload, parts.anchors, detects, folder / "payload.onnx")
    return LanguageModelEncoder(folder)


def _index(parts: Parts, folder: Path, space: str) -> Index:
    """Built-in texts whole; CVEs as id and vector, made by the very tower the bundle ships."""
    bare = [Text(t.id, t.id, "", t.source, "cve", cwe=t.cwe) for t in parts.cves]
    vectors = parts.threat_vectors
    if bare:
        encoder = TextEncoder(folder, parts.mean.numpy())
        vectors = np.concatenate([vectors, encoder.encode([t.body or t.title for t in parts.cves])])
    return Index.build([*parts.threats, *bare], vectors, space, storage="int8")


def _manifest(folder: Path, recipe: Recipe, parts: Parts, card: dict[str, Any], space: str) -> None:
    s = recipe.stage2
    files = {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
    data = {
        "format": FORMAT,
        "name": recipe.name,
        "created": datetime.now(UTC).strftime("%Y-%m-%d"),
        "space": space,
        "tower": s.tower,
        "grams": {"bits": s.bits, "chars": s.chars, "tokens": s.tokens, "skeleton": s.skeleton},
        "threshold": card["threshold"],
        "known": card["known"],
        "classes": [
            {"id": t.id, "slug": t.slug, "title": t.title, "severity": t.severity}
            for t in parts.classes
        ],
        "files": files,
        "card": card,
    }
    (folder / "bundle.json").write_text(json.dumps(data, indent=1), "utf-8")


def model_card(name: str, card: dict[str, Any]) -> str:
    """The card as Markdown: what the trainer knows. Licences and test figures are added by hand."""
    lines = [f"# Model card: {name}", "", "Written by `dragoman train`.", ""]
    for key, value in card.items():
        lines.append(f"- {key}: {json.dumps(value)}")
    return "\n".join(lines) + "\n"
