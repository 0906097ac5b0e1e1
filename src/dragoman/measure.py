"""``eval payloads``: run an engine over labelled payloads and hand the scores to ``evaluate``."""

from __future__ import annotations

import resource
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .detect import Scored
from .encode import Vectors
from .errors import SourceError
from .evaluate import payload_report
from .places import asked
from .records import Labelled, Rejected
from .sources import Paths
from .sources.labelled import read_labelled

if TYPE_CHECKING:
    from .engine import Engine

_BATCH = 256
_TIE = 1e-6  # scores closer than this are equal


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
    similarity, named = _decided(engine, scored)
    scores = np.array([s.score for s in scored])
    report = payload_report(
        labels=[r.label for r in rows],
        classes=[c.slug or c.id for c in engine._knowledge.classes],
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


def _decided(engine: Engine, scored: list[Scored]) -> tuple[Vectors, NDArray[np.bool_]]:
    """Similarity (n, C) to each class, -1 where nothing was read, and which records are named."""
    similarity = np.full((len(scored), len(engine._knowledge.classes)), -1, np.float32)
    named = np.zeros(len(scored), bool)
    for i, verdict in enumerate(map(engine._decide, scored)):
        if verdict is not None:
            similarity[i], named[i] = verdict.similarity, verdict.named is not None
    return similarity, named


def _ranks(engine: Engine, rows: list[Labelled], scored: list[Scored]) -> list[float]:
    """Rank from 1 of the best-placed right CVE, for rows with a CVE that the index holds.

    Ranked among the CVEs as findings rank them (`places.py`); equals count as half before.
    """
    knowledge, limits = engine._knowledge, engine._config.limits
    names = np.array(list(knowledge.index.ids), object)[knowledge.near_rows]
    cves = np.array([name.startswith("CVE-") for name in names], bool)
    at = {name: i for i, name in enumerate(names[cves])}
    ranks: list[float] = []
    for row, score in zip(rows, scored, strict=True):
        right = [at[cve] for cve in row.cve if cve in at]
        if not right:
            continue
        if score.vector is None:
            ranks.append(float(len(at)))
            continue
        words = asked(engine._family.prepare(row.payload, limits).fields)
        closeness = knowledge.closeness(score.vector[None], [words])[0, cves]
        gap = closeness - closeness[right].max()
        ranks.append(float(0.5 + (gap > _TIE).sum() + (np.abs(gap) <= _TIE).sum() / 2))
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
