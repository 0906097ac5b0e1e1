"""``eval payloads``: run an engine over labelled payloads and hand the scores to ``evaluate``."""

from __future__ import annotations

import resource
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from .detect import Scored
from .encode import Vectors
from .errors import SourceError
from .evaluate import payload_report
from .records import Labelled, Rejected
from .sources import Paths
from .sources.labelled import read_labelled

if TYPE_CHECKING:
    from .engine import Engine

_BATCH = 256
_RANKED = 256  # rows ranked against the index at once


def payloads(engine: Engine, paths: Paths) -> dict[str, Any]:
    """The contract's ``eval payloads`` JSON; rejected rows are counted under ``rejected``.

    Raises:
        SourceError: no labelled row could be read.
    """
    rows: list[Labelled] = []
    rejected = 0
    for row in read_labelled(paths, engine._config.limits):
        if isinstance(row, Rejected):
            rejected += 1
        else:
            rows.append(row)
    if not rows:
        raise SourceError("no labelled row could be read", where=str(paths))
    scored, took = _score(engine, rows)
    classes, vectors = engine._classes
    similarity = _matrix(scored, vectors)
    named = similarity.max(1) >= engine._bundle.known
    scores = np.array([s.score for s in scored])
    report = payload_report(
        labels=[r.label for r in rows],
        classes=[c.slug or c.id for c in classes],
        class_scores=similarity,
        attack_scores=scores,
        abstained=~named | (scores < engine.threshold),
        threshold=engine.threshold,
        ranks=_ranks(engine, rows, scored),
        bundle={"name": engine.name, "digest": engine.digest},
        speed=_speed(took, len(rows)),
        groups=[r.group for r in rows],
    )
    report["rejected"] = rejected
    return report


def _score(engine: Engine, rows: list[Labelled]) -> tuple[list[Scored], list[float]]:
    """Scores of all rows, and the seconds each batch took per record."""
    scored: list[Scored] = []
    took: list[float] = []
    for start in range(0, len(rows), _BATCH):
        batch = [r.payload for r in rows[start : start + _BATCH]]
        began = time.perf_counter()
        scored += engine._scorer.score(batch)
        took.append((time.perf_counter() - began) / len(batch))
    return scored, took


def _matrix(scored: list[Scored], class_vectors: Vectors) -> Vectors:
    """Similarity (n, C) of each record to each class; -1 where no instance was read."""
    zero = np.zeros(class_vectors.shape[1], np.float32)
    stacked = np.stack([zero if s.vector is None else s.vector for s in scored])
    out = stacked @ class_vectors.T
    out[[s.vector is None for s in scored]] = -1
    return np.asarray(out, np.float32)


def _ranks(engine: Engine, rows: list[Labelled], scored: list[Scored]) -> list[float]:
    """Rank from 1 of the best-placed right CVE, for rows with a CVE that the index holds."""
    index = engine._index
    asked = [
        (i, [c for c in r.cve if c in index.ids])
        for i, r in enumerate(rows)
        if any(c in index.ids for c in r.cve)
    ]
    everything = index.vectors_of(i for i in index.ids if i.startswith("CVE-")) if asked else None
    ranks: list[float] = []
    for i, cves in asked:
        vector = scored[i].vector
        if vector is None or everything is None:
            ranks.append(float(len(index)))
            continue
        right = float((index.vectors_of(cves) @ vector).max())
        ranks.append(1.0 + float((everything @ vector > right + 1e-6).sum()))
    return ranks


def _speed(took: list[float], n: int) -> dict[str, float]:
    """Throughput of one process; latencies are per record within a batch."""
    total = sum(took) * _BATCH if len(took) > 1 else sum(took) * n
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "records_per_s": n / max(total, 1e-9),
        "p50_ms": 1000 * float(np.percentile(took, 50)),
        "p99_ms": 1000 * float(np.percentile(took, 99)),
        "peak_rss_mb": peak / (1 << 20 if sys.platform == "darwin" else 1 << 10),
    }
