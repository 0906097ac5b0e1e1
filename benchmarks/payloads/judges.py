"""What the probes ask of a system: a class and an attack score for each payload.

Bundles and peers answer the same two questions, so a probe never sees what it probes::

    judge = OfEngine(Engine.load())
    judge = of_peers(train, valid, seed=1, model="forest")
    judge.classify(payloads), judge.detect(payloads)
"""

from __future__ import annotations

import argparse
import base64
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import baselines
import numpy as np
from baselines import Row
from label import CLASSES, share, text_of

from dragoman.calibrate import threshold_at_fpr
from dragoman.engine import Engine
from dragoman.evaluate import wilson
from dragoman.records import Kind, Payload, Where

NOTHING = "nothing"  # the class of a record in which a system reads nothing
_BATCH = 256
_PROBE = Where("probe")


class Judge(Protocol):
    """A trained system; ``threshold`` is the attack score from which a record is a finding."""

    name: str
    threshold: float

    def classify(self, payloads: Sequence[Payload]) -> list[str]:
        """The class of each payload, a forced choice among the eleven, or ``NOTHING``."""
        ...

    def detect(self, payloads: Sequence[Payload]) -> list[float]:
        """The attack score of each payload."""
        ...


class OfEngine:
    """A bundle."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name, self.threshold = engine.name, engine.threshold

    def classify(self, payloads: Sequence[Payload]) -> list[str]:
        names = [c.slug or c.id for c in self._engine._knowledge.classes]
        out = []
        for start in range(0, len(payloads), _BATCH):
            for scored in self._engine._scorer.score(payloads[start : start + _BATCH]):
                verdict = self._engine._decide(scored)
                order = () if verdict is None else verdict.order
                out.append(next((names[i] for i in order if names[i] in CLASSES), NOTHING))
        return out

    def detect(self, payloads: Sequence[Payload]) -> list[float]:
        starts = range(0, len(payloads), _BATCH)
        batches = (self._engine._scorer.score(payloads[s : s + _BATCH]) for s in starts)
        return [scored.score for batch in batches for scored in batch]


class OfPeers:
    """A pair of peers: one names the class, the other tells attacks from benign rows."""

    def __init__(
        self, name: str, namer: baselines.Peer, detector: baselines.Peer, threshold: float
    ) -> None:
        self.name, self.threshold = name, threshold
        self._namer, self._detector = namer, detector
        self._attack = detector.classes_.index("attack")

    def classify(self, payloads: Sequence[Payload]) -> list[str]:
        if not payloads:
            return []
        scores = self._namer.predict_scores([_row(p) for p in payloads])
        return [self._namer.classes_[i] for i in scores.argmax(axis=1)]

    def detect(self, payloads: Sequence[Payload]) -> list[float]:
        if not payloads:
            return []
        scores = self._detector.predict_scores([_row(p) for p in payloads])
        return [float(score) for score in scores[:, self._attack]]


def of_peers(
    train: Sequence[Row],
    valid: Sequence[Row],
    *,
    seed: int,
    model: Literal["logistic", "forest"],
    tune: int = 25_000,
    final: int = 60_000,
    fpr: float = 0.0005,
    grid: Sequence[baselines.Setting] | None = None,
) -> OfPeers:
    """Fit both peers, tuned as in ``systems.py``; the threshold by benign validation requests."""
    tasks: tuple[baselines.Task, ...] = ("classes", "detect")
    namer, detector = (
        baselines.fit(
            train, valid, seed, model=model, task=task, limit=tune, final=final, grid=grid
        )
        for task in tasks
    )
    judge = OfPeers(f"tfidf-{model}", namer, detector, 1.0)
    benign = [row for row in valid if row["label"] == "benign"]
    requests = [row for row in benign if row["kind"] == "http"] or benign
    judge.threshold = threshold_at_fpr(
        np.array(judge.detect([payload_of(r) for r in requests])), fpr
    )
    return judge


def payload_of(row: Row) -> Payload:
    """A labelled row as the record a system reads."""
    return Payload(str(row["id"]), text_of(row), row["kind"], _PROBE)


def payload(data: bytes, kind: Kind) -> Payload:
    """A record made by a probe."""
    return Payload("probe", data, kind, _PROBE)


def rate(hits: int, n: int) -> dict[str, Any]:
    """A share with Wilson's 95 % interval, ready for JSON."""
    if not n:
        return {"n": 0, "share": None, "ci": None}
    lo, hi = wilson(hits, n)
    return {"n": n, "share": round(hits / n, 4), "ci": [round(lo, 4), round(hi, 4)]}


def rate_by_group(hits: Sequence[bool], groups: Sequence[object]) -> dict[str, Any]:
    """A share whose rows come in groups; the interval is a percentile bootstrap over groups.

    Wilson's where each row is a group of its own; of the number of groups where all rows agree, for
    then the bootstrap has nothing to draw.
    """
    count = len(set(groups))
    if sum(hits) in (0, len(hits)) or count == len(hits):
        one = rate(sum(hits), len(hits))
        return one if count == len(hits) else one | {"ci": rate(count * any(hits), count)["ci"]}
    numbers: dict[object, int] = {}
    group = np.array([numbers.setdefault(g, len(numbers)) for g in groups])
    rows, found = np.bincount(group), np.bincount(group, weights=np.asarray(hits, float))
    draws = np.random.default_rng(0).integers(len(rows), size=(1_000, len(rows)))
    shares = found[draws].sum(axis=1) / rows[draws].sum(axis=1)
    lo, hi = np.quantile(shares, [0.025, 0.975])
    share = float(found.sum() / rows.sum())
    return {"n": len(hits), "share": round(share, 4), "ci": [round(float(v), 4) for v in (lo, hi)]}


def shown(data: bytes, most: int = 300) -> str:
    """The beginning of a record, for examples in JSON."""
    return data[:most].decode("utf-8", "backslashreplace")


def _row(record: Payload) -> Row:
    data = base64.b64encode(record.data).decode("ascii")
    return {"id": record.id, "payload_b64": data, "kind": record.kind}


def sampled(items: Iterable[Any], most: int, key: Any) -> list[Any]:
    """At most ``most`` items of each ``key(item)``, the first in order of a hash of their id."""
    taken: dict[Any, int] = {}
    out = []
    for item in sorted(items, key=lambda one: share(one.id)):
        taken[key(item)] = taken.get(key(item), 0) + 1
        if taken[key(item)] <= most:
            out.append(item)
    return out


def command(
    about: str | None,
    measured: Callable[[Judge, Path, int], dict[str, Any]],
    *,
    per_class: int,
    argv: Sequence[str] | None = None,
) -> None:
    """The command line of a probe: ``measured`` on a bundle, its JSON written."""
    parser = argparse.ArgumentParser(description=(about or "").split("\n", 1)[0])
    parser.add_argument("--rows", type=Path, required=True, help="what data.py wrote")
    parser.add_argument("--bundle", type=Path, help="default: the shipped one")
    parser.add_argument("--per-class", type=int, default=per_class)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    found = measured(OfEngine(Engine.load(args.bundle)), args.rows, args.per_class)
    args.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
