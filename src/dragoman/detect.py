"""Search and decide: a payload becomes a finding, or nothing.

    fields -> instances -> vectors and attack logits -> pooled over the record
    score  = sigmoid(highest logit)    below the threshold: no finding
    verdict = nearest class vector     below the similarity ``known``: "unknown"

The highest instance gives the score, so that no padding dilutes it. The vector of a record is the
mean of its instances' vectors weighted by the softmax of their attack logits, so the field that
carries the attack decides, and is cited as evidence.

A class the user added as text may be named by a match instead (`prototypes.py`): then the matching
instance's vector is the record's, its class is the verdict, and the match's score counts if it is
the higher one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .config import Limits
from .encode import PayloadEncoder, Vectors, unit
from .prepare.fields import Split
from .prepare.instances import instances_of
from .prototypes import Match, Prototypes
from .records import Field, Payload

NOTHING = -30.0  # logit of a record in which no field can carry an attack
_NEGLIGIBLE = 8.0  # an instance this far below the best has no say in the pooled vector
_LONG = 1024  # bytes of a field value that is not remembered: it will hardly come again
_CACHE = 100_000  # field values and instances remembered


class Scored(NamedTuple):
    """What the model made of one record.

    ``logits`` (I,) belong to ``fields``, best first; the field of a match comes before all others.
    """

    logit: float
    parts: tuple[Vectors, ...]  # vectors of the instances that count; empty if none was read
    fields: tuple[Field, ...]
    logits: tuple[float, ...]
    covered: bool
    match: Match | None = None

    @property
    def vector(self) -> Vectors | None:
        """The record's unit vector (384,), or None; computed when asked for."""
        if len(self.parts) < 2:
            return self.parts[0] if self.parts else None
        weights = np.exp(np.asarray(self.logits, np.float32) - self.logit)
        return unit(weights @ np.stack(self.parts))

    @property
    def score(self) -> float:
        """The attack score, or that of the match if it is higher; in [0, 1]."""
        score = 1 / (1 + math.exp(-self.logit))
        return max(score, self.match.score) if self.match else score


class Scorer:
    """Scores payloads in batches. Field values seen before are not read again."""

    def __init__(
        self,
        encoder: PayloadEncoder,
        prepare: Callable[[Payload, Limits], Split],
        limits: Limits,
        prototypes: Prototypes | None = None,
    ) -> None:
        self._encoder, self._prepare = encoder, prepare
        self._limits, self._prototypes = limits, prototypes
        self._instances: dict[tuple[str, bytes, str], list[bytes]] = {}
        self._known: dict[bytes, tuple[float, Vectors]] = {}
        self._matches: dict[bytes, Match] = {}

    def score(self, payloads: Sequence[Payload]) -> list[Scored]:
        """One :class:`Scored` for each payload, in order."""
        self._forget()
        rows = []
        fresh: dict[bytes, None] = {}
        for payload in payloads:
            fields, covered = self._prepare(payload, self._limits)
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
        if len(field.value) > _LONG:
            return instances_of(field, self._limits)
        key = (field.name, field.value, field.script)
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
            if self._prototypes is not None:
                matches = self._prototypes.matches(some)
                self._matches.update((some[row], match) for row, match in matches.items())

    def _forget(self) -> None:
        if len(self._instances) > _CACHE:
            self._instances.clear()
        if len(self._known) > _CACHE // 4:
            self._known.clear()
            self._matches.clear()

    def _pool(self, bag: list[tuple[bytes, Field]], covered: bool) -> Scored:
        if not bag:
            return Scored(NOTHING, (), (), (), covered)
        # one vote per distinct instance, given to the first field that holds it
        votes = dict(reversed(bag))
        known = sorted(((*self._known[text], text) for text in votes), key=lambda k: -k[0])
        best = known[0][0]
        heavy = [k for k in known if k[0] > best - _NEGLIGIBLE]
        parts = tuple(vector for _, vector, _ in heavy)
        match = None
        if matched := [k for k in known if k[2] in self._matches]:
            first = max(matched, key=lambda k: self._matches[k[2]].score)
            match, parts = self._matches[first[2]], (first[1],)
            heavy = [first, *(k for k in heavy if k is not first)]
        fields = tuple(votes[text] for _, _, text in heavy)
        return Scored(best, parts, fields, tuple(k[0] for k in heavy), covered, match)


class Verdict(NamedTuple):
    """The class named (index into the class vectors, None for unknown) and all similarities."""

    named: int | None
    order: NDArray[np.intp]  # classes, nearest first
    similarity: Vectors  # (C,)


def decide(scored: Scored, class_vectors: Vectors, known: float) -> Verdict | None:
    """The matched class, else the nearest by cosine unless its similarity is below ``known``.

    A matched class has the similarity of the match if that is higher. None if nothing was read.
    """
    if scored.vector is None:
        return None
    similarity = class_vectors @ scored.vector
    order = np.argsort(-similarity, kind="stable")
    if scored.match:
        owner = scored.match.owner
        similarity[owner] = max(similarity[owner], scored.match.similarity)
        return Verdict(owner, np.array([owner, *order[order != owner]]), similarity)
    named = int(order[0]) if len(order) and similarity[order[0]] >= known else None
    return Verdict(named, order, similarity)
