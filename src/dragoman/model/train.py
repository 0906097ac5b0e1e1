"""One trainer for every recipe: stage 1, stage 2, calibration, and a bundle written at the end.

    python -m dragoman train base --data DIR --out DIR

``out`` holds ``log.jsonl`` (every tenth step), checkpoints, and when done ``bundle/``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from .. import corpus as corpora
from .. import recipe as recipes
from ..calibrate import threshold_at_fpr, unknown_threshold
from ..corpus import BENIGN, Corpus
from ..encode import PayloadEncoder, Vectors, unit
from ..errors import UsageError
from ..recipe import Recipe
from ..records import Text
from . import stage1, stage2
from .language import LanguageTower
from .payload import HashedTower
from .stage1 import Described, OnStep
from .text import DIM, TextTower, embed, load_minilm
from .write import Parts, write_bundle

HELD_OUT = 600  # descriptions of later years on which stage 1 is measured
TOGETHER = 2048  # validation instances read at once


class Space(NamedTuple):
    """The frozen text space: tower, tokenizer, mean (384,), vectors of the threats (T, 384)."""

    tower: TextTower
    tokenizer: Tokenizer
    mean: Tensor
    threats: Tensor
    card: dict[str, Any]

    def vectors(self, texts: Sequence[str]) -> Tensor:
        """Centred unit vectors (n, 384)."""
        return functional.normalize(embed(self.tower, self.tokenizer, texts) - self.mean, dim=-1)


def run(
    recipe: str,
    data: Path,
    out: Path,
    *,
    seed: int | None = None,
    resume: bool = False,
    limit: int | None = None,
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Train ``recipe`` on the directory ``data``, write ``out/bundle``, return the card's figures.

    Raises:
        UsageError: an unknown recipe, or ``out`` holds a run and ``resume`` was not asked for.
        SourceError: ``data`` lacks rows.
    """
    chosen = recipes.load(recipe)
    seed = chosen.seed if seed is None else seed
    if out.exists() and any(out.iterdir()) and not resume:
        raise UsageError(
            "the directory holds a run", where=str(out), hint="--resume, or another --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    torch.manual_seed(seed)
    corpus = corpora.load(chosen, data, seed, limit)
    with (out / "log.jsonl").open("a", encoding="utf-8") as log:
        note = _logging(log, on_step)
        space = _stage1(chosen, corpus, seed, out, note)
        model = _stage2(chosen, corpus, space, seed, out, note)
    card = {
        "recipe": chosen.name,
        "seed": seed,
        "rows": corpus.counts,
        **space.card,
        "seconds": round(time.monotonic() - began),
    }
    return _write(chosen, corpus, space, model, card, out / "bundle")


def _logging(log: TextIO, on_step: OnStep | None) -> OnStep:
    def note(stage: str, step: int, total: int, loss: float) -> None:
        if step % 10 == 0 or step == total:
            row = {"stage": stage, "step": step, "loss": round(loss, 5)}
            log.write(json.dumps(row) + "\n")
            log.flush()
        if on_step:
            on_step(stage, step, total, loss)

    return note


# --- stage 1


def _stage1(recipe: Recipe, corpus: Corpus, seed: int, out: Path, note: OnStep) -> Space:
    tower, tokenizer = load_minilm()
    train, held_out = descriptions(recipe, corpus.threats, corpus.described)
    before = space_of(tower, tokenizer, corpus.threats, {})
    figures = {"held_out_before": _agreement(before, held_out)}
    if recipe.stage1.loss == "none":
        return before._replace(card={"text_tower": figures})
    stage1.train(tower, tokenizer, train, recipe.stage1, seed, out, note)
    after = space_of(tower, tokenizer, corpus.threats, figures)
    figures["held_out_after"] = _agreement(after, held_out)
    return after._replace(card={"text_tower": figures})


def space_of(
    tower: TextTower, tokenizer: Tokenizer, threats: Sequence[Text], card: dict[str, Any]
) -> Space:
    """The text space of a tower, centred on the mean of the threats."""
    parts = [parts_of(t) for t in threats]
    flat = embed(tower, tokenizer, [p for group in parts for p in group])
    raw = torch.stack(
        [functional.normalize(v.mean(0), dim=0) for v in torch.split(flat, [len(p) for p in parts])]
    )
    mean = raw.mean(0)
    return Space(tower, tokenizer, mean, functional.normalize(raw - mean, dim=-1), card)


def parts_of(text: Text) -> list[str]:
    """What stands for a threat: its description, and each way an attack looks."""
    return [f"{text.title}. {text.body}", *text.looks]


def descriptions(
    recipe: Recipe, threats: Sequence[Text], described: Sequence[Text]
) -> tuple[Described, Described]:
    """Texts and the number of their threat: up to the recipe's year, and a sample of later CVEs."""
    number = {t.id: i for i, t in enumerate(threats)}
    rng = np.random.default_rng(0)
    early: list[tuple[str, int]] = []
    late: list[tuple[str, int]] = []
    for threat, texts in sorted(corpora.grouped(described, threats).items()):
        old = [t for t in texts if _year(t) <= recipe.stage1.until]
        kept = rng.permutation(len(old))[: recipe.stage1.per_class]
        early += [(old[i].body or old[i].title, number[threat]) for i in kept]
        new = [t for t in texts if _year(t) > recipe.stage1.until]
        late += [(t.body or t.title, number[threat]) for t in new]
    for i, threat_text in enumerate(threats):
        early += [(part, i) for part in parts_of(threat_text)]
    late = [late[i] for i in rng.permutation(len(late))[:HELD_OUT]]
    return _pairs(early), _pairs(late)


def _pairs(rows: list[tuple[str, int]]) -> Described:
    return Described([text for text, _ in rows], [group for _, group in rows])


def _year(text: Text) -> int:
    """The year in a CVE's id; 0 for texts that have none, so that they count as early."""
    return int(text.id[4:8]) if text.id.startswith("CVE-") else 0


def _agreement(space: Space, held_out: Described) -> float | None:
    if not held_out.texts:
        return None
    vectors = space.vectors(held_out.texts)
    return round(stage1.nearest_threat(vectors, space.threats, held_out.groups), 4)


# --- stage 2


def _stage2(
    recipe: Recipe, corpus: Corpus, space: Space, seed: int, out: Path, note: OnStep
) -> stage2.Model:
    s = recipe.stage2
    torch.manual_seed(seed)
    tower: HashedTower | LanguageTower
    if s.tower == "hashed":
        tower = HashedTower(s.bits, s.width, s.hidden)
    else:
        tower = LanguageTower(*load_minilm())
    numbers = {t.slug: i for i, t in enumerate(corpus.threats)}
    anchors = space.threats[[numbers[slug] for slug in corpus.classes]]
    learned = s.anchors == "learned"
    if learned:
        anchors = functional.normalize(torch.randn(len(corpus.classes), DIM), dim=-1)
    model = stage2.Model(tower, anchors, learned, detects=s.detection > 0)
    stage2.train(model, corpus.instances, corpus.train, s, seed, out, note)
    return model


def _calibrated(
    recipe: Recipe, corpus: Corpus, anchors: Tensor, encoder: PayloadEncoder
) -> dict[str, Any]:
    """Thresholds and figures on validation rows, of the tower as it ships."""
    rows = corpus.valid
    vectors, logits = _read(encoder, corpus.instances, rows.bags)
    cosines = vectors @ functional.normalize(anchors.detach(), dim=-1).numpy().T
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    benign = rows.labels == BENIGN
    requests = benign & rows.whole
    named = rows.labels >= 0
    right = (cosines.argmax(1) == rows.labels)[named]
    own = cosines[named, rows.labels[named]]
    threshold = threshold_at_fpr(
        scores[requests if requests.any() else benign], recipe.calibration.fpr
    )
    return {
        "threshold": float(threshold),
        "known": float(unknown_threshold(own[right], lost=recipe.calibration.lost)),
        "validation": {
            "n": len(rows.labels),
            "accuracy": round(float(right.mean()), 4),
            "detected": round(float((scores[~benign] >= threshold).mean()), 4),
            "benign_requests": int(requests.sum()),
            "false_positives": int((scores[requests] >= threshold).sum()),
            "benign_values": int((benign & ~rows.whole).sum()),
            "false_positives_values": int((scores[benign & ~rows.whole] >= threshold).sum()),
        },
    }


def _read(
    encoder: PayloadEncoder, instances: corpora.Instances, bags: Sequence[corpora.Ints]
) -> tuple[Vectors, Vectors]:
    """Vectors (n, 384) and attack logits (n,) of bags, pooled as `detect.py` pools a record."""
    numbers = np.unique(np.concatenate(bags))
    parts = [
        encoder.encode([instances.strings[i] for i in numbers[at : at + TOGETHER]])
        for at in range(0, len(numbers), TOGETHER)
    ]
    vectors, logits = (np.concatenate(part) for part in zip(*parts, strict=True))
    pooled, best = [], []
    for bag in bags:
        at = np.searchsorted(numbers, bag)
        best.append(logits[at].max())
        pooled.append(np.exp(logits[at] - best[-1]) @ vectors[at])
    return unit(np.stack(pooled)), np.array(best, np.float32)


def _write(
    recipe: Recipe,
    corpus: Corpus,
    space: Space,
    model: stage2.Model,
    card: dict[str, Any],
    to: Path,
) -> dict[str, Any]:
    learned = recipe.stage2.anchors == "learned"
    classes = [t for t in corpus.threats if t.kind == "class"]
    if learned:
        classes = [next(t for t in corpus.threats if t.slug == slug) for slug in corpus.classes]
    numbers = {t.id: i for i, t in enumerate(corpus.threats)}
    vectors = space.threats[[numbers[t.id] for t in classes]]
    if learned:
        vectors = functional.normalize(model.anchors.detach(), dim=-1)
    return write_bundle(
        to,
        recipe,
        Parts(
            text=space.tower,
            payload=model.tower,
            mean=space.mean,
            classes=classes,
            class_vectors=vectors,
            anchors=model.anchors,
            threats=corpus.threats,
            threat_vectors=space.threats.numpy(),
            cves=_indexed(corpus, recipe.index.cves),
        ),
        card,
        lambda encoder: _calibrated(recipe, corpus, model.anchors, encoder),
    )


def _indexed(corpus: Corpus, most: int) -> list[Text]:
    """The CVEs a bundle knows: those of the named classes first, newest first."""
    cves = [t for t in corpus.described if t.kind == "cve"]
    named = {f"class:{slug}" for slug in corpus.classes}
    ranked = [
        (threat not in named, -_year(text), text.id, text)
        for threat, texts in corpora.grouped(cves, corpus.threats).items()
        for text in texts
    ]
    return [text for *_, text in sorted(ranked, key=lambda r: r[:3])[:most]]
