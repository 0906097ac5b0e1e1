"""Stage 2: payloads pulled onto the frozen text space (SALM, arXiv 2603.20181, stage 2).

Published: squared distance between a payload's vector and its class text, a language model as
payload encoder, payloads only. Ours adds cross entropy over all class anchors, several fields as
one bag, and an attack logit learnt against benign traffic.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.nn import functional

from ..corpus import ATTACK, BENIGN, Instances, Rows
from ..recipe import Stage2
from . import checkpoint
from .language import LanguageTower
from .loss import anchor_softmax, squared_distance
from .payload import Counted, HashedTower, Pooled, cosine_logit, pool
from .stage1 import OnStep

EVERY = 200
BATCH = {HashedTower: 512, LanguageTower: 32}  # records read at once when predicting
MANY = 300  # features read of one instance in a training step
UNNAMED = 8  # attacks of no class in a batch
MINED = 12_000  # benign records looked through for hard ones, every EVERY steps
HARD = 0.05  # share of them that count as hard


class Model(nn.Module):
    """A payload tower and the anchors (C, 384) it is pulled onto: class texts, or learned vectors.

    One that is not trained against benign rows (``detects``) scores by its nearest anchor.
    """

    def __init__(
        self,
        tower: HashedTower | LanguageTower,
        anchors: Tensor,
        learned: bool,
        detects: bool = True,
    ) -> None:
        super().__init__()
        self.tower, self.detects = tower, detects
        self.anchors = nn.Parameter(anchors.clone(), requires_grad=learned)

    def forward(self, batch: Batch, count: int) -> Pooled:
        tower = self.tower
        read = tower.in_groups if isinstance(tower, LanguageTower) else tower
        vectors, logits = read(*batch.inputs)
        if not self.detects:
            unit = functional.normalize(vectors, dim=-1)
            logits = cosine_logit(unit, functional.normalize(self.anchors, dim=-1))
        return pool(vectors[batch.instance], logits[batch.instance], batch.owner, count)


class Batch(NamedTuple):
    """The tower's inputs for the distinct instances of some records, and who owns which."""

    inputs: tuple[Any, ...]
    instance: Tensor  # (I,) rows of the tower's output
    owner: Tensor  # (I,) record of each


class Drawer:
    """Draws balanced batches of record numbers."""

    def __init__(self, rows: Rows, settings: Stage2) -> None:
        y = rows.labels
        self._attacks = np.flatnonzero(y >= 0)
        counts = np.bincount(y[self._attacks]).clip(1)
        weights = counts[y[self._attacks]] ** -settings.balance
        self._weights = weights / weights.sum()
        self._unnamed: Pools = [(np.flatnonzero(y == ATTACK), UNNAMED if settings.detection else 0)]
        self._harmless: Pools = [
            (np.flatnonzero((y == BENIGN) & rows.whole), settings.benign // 2),
            (np.flatnonzero((y == BENIGN) & ~rows.whole), settings.benign // 2),
        ]
        self._size = settings.attacks
        self._mined = round(settings.mined * settings.benign)
        self.benign = np.flatnonzero(y == BENIGN)
        self.hard: NDArray[np.int64] = np.zeros(0, np.int64)

    def draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Attacks first, then benign records; ``hard`` ones take the place of some of these."""
        attacks = [rng.choice(self._attacks, self._size, p=self._weights)]
        attacks += _some(self._unnamed, rng)
        drawn = np.concatenate(attacks + _some(self._harmless, rng))
        if self._mined and len(self.hard):
            first = sum(map(len, attacks))
            at = rng.choice(np.arange(first, len(drawn)), self._mined, False)
            drawn[at] = rng.choice(self.hard, self._mined)
        return drawn


Pools = list[tuple[NDArray[np.int64], int]]  # records, and how many of them stand in a batch


def _some(pools: Pools, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    return [rng.choice(pool, size) for pool, size in pools if len(pool) and size]


def hashed_batch(
    instances: Instances,
    bags: list[NDArray[np.int64]],
    drop: float,
    rng: np.random.Generator | None,
) -> Batch:
    """Features of the distinct instances of ``bags``.

    With ``rng``, a share ``drop`` of each instance's features is left out, more if it has many.
    """
    numbers, inverse = np.unique(np.concatenate(bags), return_inverse=True)
    starts = instances.offsets[numbers]
    sizes = instances.offsets[numbers + 1] - starts
    ends = np.cumsum(sizes)
    at = np.arange(sizes.sum()) + np.repeat(starts - (ends - sizes), sizes)
    owner = np.repeat(np.arange(len(numbers)), sizes)
    if rng is not None:
        share = np.minimum(1 - drop, MANY / sizes.clip(1))
        kept = rng.random(len(at)) < share[owner]
        at, owner = at[kept], owner[kept]
    rows, column = np.unique(instances.ids[at], return_inverse=True)
    ones = np.ones(len(at), np.float32)
    counts = csr_array((ones, (owner, column.reshape(-1))), shape=(len(numbers), len(rows)))
    return Batch(
        (Counted(torch.from_numpy(rows.astype(np.int64)), counts),),
        torch.from_numpy(inverse.reshape(-1)),
        _owners(bags),
    )


def _owners(bags: list[NDArray[np.int64]]) -> Tensor:
    return torch.from_numpy(np.repeat(np.arange(len(bags)), [len(b) for b in bags]))


class Reader:
    """Makes batches for either kind of tower."""

    def __init__(self, instances: Instances, model: Model, drop: float) -> None:
        self._instances, self._model, self._drop = instances, model, drop

    def batch(self, bags: list[NDArray[np.int64]], rng: np.random.Generator | None) -> Batch:
        tower = self._model.tower
        if isinstance(tower, HashedTower):
            return hashed_batch(self._instances, bags, self._drop, rng)
        numbers, inverse = np.unique(np.concatenate(bags), return_inverse=True)
        texts = [self._instances.strings[i].decode("latin-1") for i in numbers]
        return Batch(tower.tokens(texts), torch.from_numpy(inverse.reshape(-1)), _owners(bags))


def train(
    model: Model,
    instances: Instances,
    rows: Rows,
    settings: Stage2,
    seed: int,
    run: Path,
    on_step: OnStep,
) -> None:
    """Train ``model`` in place, going on from a checkpoint in ``run``."""
    path = run / "stage2.safetensors"
    optimizers = _optimizers(model, settings)
    first = checkpoint.load(path, model, optimizers)
    drawer, reader = Drawer(rows, settings), Reader(instances, model, settings.drop)
    rates = [[g["lr"] for g in o.param_groups] for o in optimizers]
    model.train()
    for step in range(first, settings.steps):
        if settings.mined and step and step % EVERY == 0:
            drawer.hard = _hardest(model, instances, rows, drawer.benign, [seed, step, 1])
            model.train()
        rng = np.random.default_rng([seed, step])
        torch.manual_seed(seed * 1_000_003 + step)
        chosen = drawer.draw(rng)
        batch = reader.batch([rows.bags[i] for i in chosen], rng)
        pooled = model(batch, len(chosen))
        loss = _loss(pooled, model.anchors, torch.from_numpy(rows.labels[chosen]), settings)
        warm = min(1.0, (step + 1) / 100) * (1 - 0.95 * step / settings.steps)
        for optimizer, base in zip(optimizers, rates, strict=True):
            for group, rate in zip(optimizer.param_groups, base, strict=True):
                group["lr"] = rate * warm
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
        on_step("payload tower", step + 1, settings.steps, float(loss.detach()))
        if (step + 1) % EVERY == 0 or step + 1 == settings.steps:
            checkpoint.save(path, step + 1, model, optimizers)
    model.eval()


def _hardest(
    model: Model, instances: Instances, rows: Rows, benign: NDArray[np.int64], seed: list[int]
) -> NDArray[np.int64]:
    """The benign records, of ``MINED`` drawn ones, that the model takes for attacks most."""
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(benign)[:MINED]
    logits = predict(model, instances, [rows.bags[i] for i in drawn])[1].numpy()
    return drawn[np.argsort(-logits, kind="stable")[: max(1, round(HARD * len(drawn)))]]


def _loss(pooled: Pooled, anchors: Tensor, labels: Tensor, settings: Stage2) -> Tensor:
    named = labels >= 0
    vectors, targets = pooled.vectors[named], labels[named]
    unit = functional.normalize(anchors, dim=-1)
    loss = settings.distance * squared_distance(vectors, unit, targets)
    if settings.softmax:
        loss = loss + settings.softmax * anchor_softmax(vectors, unit, targets, settings.scale)
    if settings.detection:
        attack = (labels != BENIGN).float()
        each = functional.binary_cross_entropy_with_logits(pooled.logits, attack)
        loss = loss + settings.detection * each
    return loss


def _optimizers(model: Model, settings: Stage2) -> list[torch.optim.Optimizer]:
    table = [p for n, p in model.named_parameters() if n.endswith("table")]
    dense = [p for n, p in model.named_parameters() if not n.endswith("table") and p.requires_grad]
    out: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(dense, lr=settings.rate, weight_decay=1e-2)
    ]
    if table:
        out.append(torch.optim.SparseAdam(table, lr=settings.table_rate))
    return out


@torch.no_grad()
def predict(
    model: Model, instances: Instances, bags: list[NDArray[np.int64]]
) -> tuple[Tensor, Tensor]:
    """Vectors (n, 384) and attack logits (n,) of records."""
    model.eval()
    reader, size = Reader(instances, model, 0.0), BATCH[type(model.tower)]
    vectors, logits = [], []
    for start in range(0, len(bags), size):
        some = bags[start : start + size]
        pooled = model(reader.batch(some, None), len(some))
        vectors.append(pooled.vectors)
        logits.append(pooled.highest)
    return torch.cat(vectors), torch.cat(logits)
