"""Search and decide: a payload becomes a finding, or nothing.

    fields -> instances -> vectors and attack logits -> pooled over the record
    score  = sigmoid(pooled logit)     below the threshold: no finding
    verdict = nearest class vector     below the similarity ``known``: "unknown"

The vector of a record is the mean of its instances' vectors weighted by the softmax of their attack
logits, so the field that carries the attack decides, and is cited as evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .config import Limits
from .encode import PayloadEncoder, Vectors, unit
from .prepare.fields import split
from .prepare.instances import instances_of
from .records import Field, Payload

NOTHING = -30.0  # logit of a record in which no field can carry an attack
_NEGLIGIBLE = 8.0  # an instance this far below the best has no say in the pooled vector
_CACHE = 100_000  # field values and instances remembered


class Scored(NamedTuple):
    """What the model made of one record. ``logits`` (I,) belong to ``fields``, best first."""

    logit: float
    vector: Vectors | None  # (384,), None if no instance was read
    fields: tuple[Field, ...]
    logits: tuple[float, ...]
    covered: bool

    @property
    def score(self) -> float:
        """The attack score in (0, 1)."""
        return 1 / (1 + math.exp(-self.logit))


class Scorer:
    """Scores payloads in batches. Field values seen before are not read again."""

    def __init__(self, encoder: PayloadEncoder, limits: Limits) -> None:
        self._encoder, self._limits = encoder, limits
        self._instances: dict[tuple[str, bytes], list[bytes]] = {}
        self._known: dict[bytes, tuple[float, Vectors]] = {}

    def score(self, payloads: Sequence[Payload]) -> list[Scored]:
        """One :class:`Scored` for each payload, in order."""
        self._forget()
        rows = []
        fresh: dict[bytes, None] = {}
        for payload in payloads:
            fields, covered = split(payload, self._limits)
            bag: list[tuple[bytes, Field]] = []
            for field in fields:
                for text in self._read(field):
                    bag.append((text, field))
                    if text not in self._known:
                        fresh[text] = None
            rows.append((bag, covered))
        self._learn(list(fresh))
        return [self._pool(bag, covered) for bag, covered in rows]

    def _read(self, field: Field) -> list[bytes]:
        key = (field.name, field.value)
        found = self._instances.get(key)
        if found is None:
            found = self._instances[key] = instances_of(field, self._limits)
        return found

    def _learn(self, texts: list[bytes]) -> None:
        for start in range(0, len(texts), 1024):
            some = texts[start : start + 1024]
            vectors, logits = self._encoder.encode(some)
            for text, vector, logit in zip(some, vectors, logits.tolist(), strict=True):
                self._known[text] = (logit, vector)

    def _forget(self) -> None:
        if len(self._instances) > _CACHE:
            self._instances.clear()
        if len(self._known) > _CACHE // 4:
            self._known.clear()

    def _pool(self, bag: list[tuple[bytes, Field]], covered: bool) -> Scored:
        if not bag:
            return Scored(NOTHING, None, (), (), covered)
        # one vote per distinct instance, given to the first field that holds it
        votes = {text: field for text, field in reversed(bag)}
        ranked = sorted(votes, key=lambda text: -self._known[text][0])
        best = self._known[ranked[0]][0]
        heavy = [t for t in ranked if self._known[t][0] > best - _NEGLIGIBLE]
        logits = [self._known[t][0] for t in heavy]
        weights = [math.exp(x - best) for x in logits]
        total = sum(weights)
        logit = sum(w * x for w, x in zip(weights, logits, strict=True)) / total
        vector = self._known[heavy[0]][1]
        if len(heavy) > 1:
            stacked = np.stack([self._known[t][1] for t in heavy])
            vector = unit(np.asarray(weights, np.float32) @ stacked)
        return Scored(logit, vector, tuple(votes[t] for t in heavy), tuple(logits), covered)


class Verdict(NamedTuple):
    """The class named (index into the class vectors, None for unknown) and all similarities."""

    named: int | None
    order: NDArray[np.intp]  # classes, nearest first
    similarity: Vectors  # (C,)


def decide(vector: Vectors, class_vectors: Vectors, known: float) -> Verdict:
    """The nearest class by cosine, or none if it is nearer than ``known`` to no class."""
    similarity = class_vectors @ vector
    order = np.argsort(-similarity, kind="stable")
    named = int(order[0]) if len(order) and similarity[order[0]] >= known else None
    return Verdict(named, order, similarity)
