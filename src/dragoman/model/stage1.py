"""Stage 1: a semantic space of vulnerability descriptions (SALM, arXiv 2603.20181, stage 1).

The published loss is a triplet loss; ours takes all descriptions of a threat in the batch as
positives of each other and keeps every text near its pre-trained vector, so that the space stays
fit for texts of other kinds. Lower layers are frozen and their output is computed once.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from ..recipe import Stage1
from . import checkpoint
from .loss import multi_positive, triplet
from .text import TextTower, tokenize

OnStep = Callable[[str, int, int, float], None]
EVERY = 50  # steps between checkpoints


class Described(NamedTuple):
    """Texts and the number of the threat each belongs to."""

    texts: Sequence[str]
    groups: Sequence[int]


def train(
    tower: TextTower,
    tokenizer: Tokenizer,
    data: Described,
    settings: Stage1,
    seed: int,
    run: Path,
    on_step: OnStep,
) -> None:
    """Train the upper layers of ``tower`` in place, going on from a checkpoint in ``run``."""
    if not data.texts:
        return
    path = run / "stage1.safetensors"
    start = copy.deepcopy(tower)
    trained = tower.layers[settings.frozen :]
    optimizer = torch.optim.AdamW(trained.parameters(), lr=settings.rate)
    first = checkpoint.load(path, tower, [optimizer])
    if first >= settings.steps:
        return
    hidden = _lower(tower, tokenizer, data.texts, settings)
    by_group = _members(data.groups)
    tower.train()
    for step in range(first, settings.steps):
        rows, groups = _draw(by_group, settings.batch, random.Random(f"{seed}/{step}"))
        state, mask = _padded([hidden[i] for i in rows])
        vectors = tower.upper(state, mask, settings.frozen)
        with torch.no_grad():
            before = start.upper(state, mask, settings.frozen)
        loss = _loss(vectors, groups, settings)
        loss = loss + settings.keep * (1 - (vectors * before).sum(-1)).mean()
        warm = min(1.0, (step + 1) / 30) * (1 - step / settings.steps)
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * warm
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        on_step("text tower", step + 1, settings.steps, float(loss.detach()))
        if (step + 1) % EVERY == 0 or step + 1 == settings.steps:
            checkpoint.save(path, step + 1, tower, [optimizer])
    tower.eval()


def _loss(vectors: Tensor, groups: list[int], settings: Stage1) -> Tensor:
    if settings.loss == "multi-positive":
        return multi_positive(vectors, torch.tensor(groups), settings.scale)
    half = len(groups) // 2  # _draw gives pairs: row i and row half + i share a group
    negative = _other(groups[:half])
    return triplet(vectors[:half], vectors[half:], vectors[negative], settings.margin)


def _other(groups: list[int]) -> list[int]:
    """For each row one of another group: the next such row of the batch."""
    n = len(groups)
    return [
        next((j % n for j in range(i + 1, i + n) if groups[j % n] != groups[i]), i)
        for i in range(n)
    ]


def _members(groups: Sequence[int]) -> list[list[int]]:
    table: dict[int, list[int]] = {}
    for row, group in enumerate(groups):
        table.setdefault(group, []).append(row)
    return [rows for _, rows in sorted(table.items()) if len(rows) > 1]


def _draw(members: list[list[int]], batch: int, rng: random.Random) -> tuple[list[int], list[int]]:
    """Pairs of texts, each pair of one threat; threats drawn by the root of their size."""
    weights = [len(m) ** 0.5 for m in members]
    chosen = rng.choices(range(len(members)), weights, k=batch // 2)
    pairs = [rng.sample(members[g], 2) for g in chosen]
    return [a for a, _ in pairs] + [b for _, b in pairs], chosen + chosen


@torch.no_grad()
def _lower(
    tower: TextTower, tokenizer: Tokenizer, texts: Sequence[str], settings: Stage1
) -> list[Tensor]:
    """Half-precision hidden states (T, 384) of every text after the frozen layers."""
    out: list[Tensor] = [torch.zeros(0)] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for at in range(0, len(order), 64):
        some = order[at : at + 64]
        ids, mask = tokenize(tokenizer, [texts[i] for i in some], settings.length)
        states = tower.lower(ids, mask, settings.frozen).half()
        for i, state, size in zip(some, states, mask.sum(1).tolist(), strict=True):
            out[i] = state[:size].clone()
    return out


def _padded(states: list[Tensor]) -> tuple[Tensor, Tensor]:
    hidden = torch.nn.utils.rnn.pad_sequence([s.float() for s in states], batch_first=True)
    sizes = torch.tensor([len(s) for s in states])
    mask = (torch.arange(hidden.shape[1]) < sizes[:, None]).to(torch.int64)
    return hidden, mask


def nearest_threat(vectors: Tensor, anchors: Tensor, groups: Sequence[int]) -> float:
    """Share of texts whose nearest threat anchor is their own, averaged over threats."""
    hit = (vectors @ anchors.T).argmax(1).numpy() == np.array(groups)
    return float(np.mean([hit[np.array(groups) == g].mean() for g in sorted(set(groups))]))
