"""Metrics with intervals: classification, detection, retrieval, open set. Pure functions.

Conventions: a higher score means "more likely", a record is flagged when ``score >= threshold``.
Intervals come from a bootstrap over groups (rows that share a group are drawn together, Efron and
Tibshirani 1993, ch. 8) with a fixed seed; rates have Wilson's score interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import UsageError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_ROWS = 20  # rows a class must have to count in macro-F1
RATES = (0.0007, 0.001, 0.01)  # false-positive rates at which the true-positive rate is reported
SAMPLES = 1_000  # bootstrap samples
_CHUNK = 100  # bootstrap samples drawn at once: bounds memory at 100 x groups


# --- classification


def forced_choice(scores: ArrayLike, classes: Sequence[str], among: Sequence[str]) -> list[str]:
    """The best-scored class of each row, choosing only among the classes ``among``.

    Args:
        scores: (rows, classes).
        classes: the name of each column.
        among: the allowed names; those without a column are passed over.
    """
    columns = [i for i, name in enumerate(classes) if name in set(among)]
    if not columns:
        raise UsageError("none of the classes to choose among has a score")
    best = np.asarray(scores, dtype=np.float64)[:, columns].argmax(axis=1)
    return [classes[columns[i]] for i in best]


def per_class(truth: Sequence[str], predicted: Sequence[str]) -> dict[str, dict[str, float]]:
    """``n``, precision, recall and F1 of each class that occurs in ``truth``; 0 / 0 counts as 0."""
    names, counts = _counts(truth, predicted, np.zeros(len(truth), dtype=np.int64), 1)
    hits, calls, rows = counts[:, 0]
    precision, recall, f1 = _ratio(hits, calls), _ratio(hits, rows), _ratio(2 * hits, calls + rows)
    return {
        name: {"n": int(rows[i]), "precision": precision[i], "recall": recall[i], "f1": f1[i]}
        for i, name in enumerate(names)
    }


def accuracy(truth: Sequence[str], predicted: Sequence[str]) -> float:
    """The share of rows whose prediction is right."""
    return float(np.mean([a == b for a, b in zip(truth, predicted, strict=True)]))


def macro_f1(
    truth: Sequence[str], predicted: Sequence[str], *, min_rows: int = MIN_ROWS
) -> float | None:
    """The mean F1 over the classes with at least ``min_rows`` rows; ``None`` when there is none."""
    scores = [c["f1"] for c in per_class(truth, predicted).values() if c["n"] >= min_rows]
    return float(np.mean(scores)) if scores else None


def macro_f1_ci(
    truth: Sequence[str],
    predicted: Sequence[str],
    groups: Sequence[object] | None = None,
    *,
    min_rows: int = MIN_ROWS,
    level: float = 0.95,
    samples: int = SAMPLES,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of :func:`macro_f1`; ``groups`` as in :func:`codes`."""
    drawn = _macro_f1_samples(truth, [predicted], groups, min_rows, samples, seed)
    return None if drawn is None else _interval(drawn[0], level)


def macro_f1_difference(
    truth: Sequence[str],
    first: Sequence[str],
    second: Sequence[str],
    groups: Sequence[object] | None = None,
    *,
    min_rows: int = MIN_ROWS,
    level: float = 0.95,
    samples: int = SAMPLES,
    seed: int = 0,
) -> dict[str, float] | None:
    """Macro-F1 of ``first`` minus that of ``second`` on the same rows, by a paired bootstrap.

    Both classifiers are judged on the same drawn groups. The difference lies outside chance when
    ``lo > 0`` or ``hi < 0``. Returns ``difference``, ``lo``, ``hi``, and ``share_above``: the share
    of samples in which ``first`` is better.
    """
    drawn = _macro_f1_samples(truth, [first, second], groups, min_rows, samples, seed)
    if drawn is None:
        return None
    a, b = (macro_f1(truth, p, min_rows=min_rows) for p in (first, second))
    assert a is not None  # noqa: S101 (drawn is not None: some class has enough rows)
    assert b is not None  # noqa: S101
    lo, hi = _interval(drawn[0] - drawn[1], level)
    above = float(np.mean(drawn[0] > drawn[1]))
    return {"difference": a - b, "lo": lo, "hi": hi, "share_above": above}


def codes(groups: Sequence[object] | None, n: int) -> Ints:
    """Groups as numbers 0 .. k-1. Without groups, or with ``None``, a row is its own group."""
    if groups is None:
        return np.arange(n, dtype=np.int64)
    if len(groups) != n:
        raise UsageError(f"{len(groups)} groups for {n} rows")
    seen: dict[object, int] = {}
    own = ((i,) if g is None else g for i, g in enumerate(groups))
    return np.array([seen.setdefault(g, len(seen)) for g in own], dtype=np.int64)


def _counts(
    truth: Sequence[str], predicted: Sequence[str], group: Ints, n_groups: int
) -> tuple[list[str], Ints]:
    """Class names and, per group and class, (hits, calls, rows): shape (3, groups, classes)."""
    if len(truth) != len(predicted):
        raise UsageError(f"{len(predicted)} predictions for {len(truth)} rows")
    names = sorted(set(truth))
    column = {name: i for i, name in enumerate(names)}
    counts = np.zeros((3, n_groups, len(names)), dtype=np.int64)
    for true, call, g in zip(truth, predicted, group.tolist(), strict=True):
        counts[2, g, column[true]] += 1
        if call in column:
            counts[1, g, column[call]] += 1
            counts[0, g, column[call]] += true == call
    return names, counts


def _macro_f1_samples(
    truth: Sequence[str],
    predictions: Sequence[Sequence[str]],
    groups: Sequence[object] | None,
    min_rows: int,
    samples: int,
    seed: int,
) -> Floats | None:
    """Macro-F1 of each prediction (rows) in each bootstrap sample (columns)."""
    group = codes(groups, len(truth))
    n_groups = int(group.max()) + 1 if len(group) else 0
    tables = [_counts(truth, p, group, n_groups)[1] for p in predictions]
    if not tables or not n_groups:
        return None
    kept = tables[0][2].sum(axis=0) >= min_rows
    if not kept.any():
        return None
    rng = np.random.default_rng(seed)
    parts: list[list[Floats]] = [[] for _ in tables]
    for start in range(0, samples, _CHUNK):
        size = min(_CHUNK, samples - start)
        weights = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=size)
        for part, table in zip(parts, tables, strict=True):
            hits, calls, rows = (weights @ t[:, kept] for t in table)
            f1 = _ratio(2 * hits, calls + rows)
            drawn = rows > 0  # a class that was not drawn says nothing about this sample
            part.append(_ratio((f1 * drawn).sum(axis=1), drawn.sum(axis=1)))
    return np.stack([np.concatenate(part) for part in parts])


def _ratio(top: ArrayLike, bottom: ArrayLike) -> Floats:
    a, b = np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


def _interval(values: Floats, level: float) -> tuple[float, float]:
    lo, hi = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(lo), float(hi)


# --- detection


def auroc(benign: ArrayLike, attack: ArrayLike) -> float:
    """The probability that an attack scores above a benign row; ties count one half.

    Mann-Whitney U over mid-ranks (Hanley and McNeil 1982).
    """
    low, high = np.sort(_scores(benign)), _scores(attack)
    below = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return float(below.mean() / (2 * len(low)))


def tpr_at_fpr(benign: ArrayLike, attack: ArrayLike, rate: float) -> float:
    """The highest true-positive rate whose false-positive rate on ``benign`` is at most ``rate``.

    Exact, no interpolation: of n benign rows ``floor(rate * n)`` may be flagged, and rows of equal
    score are flagged together or not at all.
    """
    low, high = np.sort(_scores(benign))[::-1], _scores(attack)
    allowed = int(np.floor(rate * len(low) + 1e-9))
    return 1.0 if allowed >= len(low) else float(np.mean(high > low[allowed]))


def detection(benign: ArrayLike, attack: ArrayLike, threshold: float) -> dict[str, Any] | None:
    """The contract's ``detection`` part; values that need a missing side are ``None``."""
    low, high = np.asarray(benign, dtype=np.float64), np.asarray(attack, dtype=np.float64)
    if not len(low) and not len(high):
        return None
    fpr = float(np.mean(low >= threshold)) if len(low) else None
    tpr = float(np.mean(high >= threshold)) if len(high) else None
    both = fpr is not None and tpr is not None
    return {
        "n_benign": len(low),
        "n_attack": len(high),
        "tpr": tpr,
        "fpr": fpr,
        "balanced_accuracy": (tpr + 1 - fpr) / 2 if tpr is not None and fpr is not None else None,
        "auroc": auroc(low, high) if both else None,
        "tpr_at_fpr": {str(r): tpr_at_fpr(low, high, r) if both else None for r in RATES},
    }


def wilson(hits: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of the rate ``hits / n`` (Wilson 1927); (0, 1) when ``n`` is 0."""
    if not 0 <= hits <= n:
        raise UsageError(f"{hits} hits of {n}")
    if n == 0:
        return 0.0, 1.0
    z, p = NormalDist().inv_cdf((1 + level) / 2), hits / n
    middle = p + z * z / (2 * n)
    half = z * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
    scale = 1 + z * z / n
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def _scores(values: ArrayLike) -> Floats:
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or not len(scores) or np.isnan(scores).any():
        raise UsageError("scores must be a non-empty row of numbers")
    return scores


# --- retrieval and open set


def retrieval(ranks: ArrayLike) -> dict[str, Any] | None:
    """hit@1, hit@10 and mean reciprocal rank from ranks counted from 1; 0 means not found."""
    found = np.asarray(ranks, dtype=np.float64)
    if not len(found):
        return None
    reciprocal = _ratio(np.ones_like(found), found)
    return {
        "n": len(found),
        "hit@1": float(np.mean(reciprocal >= 1)),
        "hit@10": float(np.mean(reciprocal >= 1 / 10)),
        "mrr": float(reciprocal.mean()),
    }


def open_set(
    known: ArrayLike, unknown: ArrayLike, right: ArrayLike, threshold: float
) -> dict[str, float]:
    """How well attacks of unseen classes are told from those of known classes.

    Args:
        known: (n,) similarity to the nearest class, attacks of known classes.
        unknown: (m,) the same for attacks of classes left out of training.
        right: (n,) whether the nearest class is the true one.
        threshold: below it an attack is called unknown.

    Returns:
        ``auroc`` (known above unknown), ``known_kept`` and ``unknown_found`` at the threshold, and
        ``oscr``: the area under correct classification rate over false positive rate (Dhamija et
        al. 2018), which punishes wrong classes as well as accepted unknowns.
    """
    inside, outside = _scores(known), _scores(unknown)
    correct = np.asarray(right, dtype=bool)
    below = np.searchsorted(np.sort(outside), inside[correct], "left")
    ties = np.searchsorted(np.sort(outside), inside[correct], "right") - below
    return {
        "auroc": auroc(outside, inside),
        "known_kept": float(np.mean(inside >= threshold)),
        "unknown_found": float(np.mean(outside < threshold)),
        "oscr": float((below + ties / 2).sum() / (len(inside) * len(outside))),
    }


# --- the report of ``eval payloads``


def payload_report(
    *,
    labels: Sequence[str | None],
    classes: Sequence[str],
    class_scores: ArrayLike,
    attack_scores: ArrayLike,
    abstained: ArrayLike,
    threshold: float,
    ranks: ArrayLike,
    bundle: Mapping[str, str],
    speed: Mapping[str, float] | None,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """The JSON of ``eval payloads``; a part with no rows is ``None``, floats have 4 digits.

    Args:
        labels: (n,) a class slug, ``attack``, ``benign`` or ``None`` for each row.
        classes: (c,) names of the columns of ``class_scores``.
        class_scores: (n, c) the higher, the nearer the class.
        attack_scores: (n,) compared with ``threshold`` for detection.
        abstained: (n,) whether the shipped thresholds name no class for the row.
        threshold: the shipped detection threshold.
        ranks: (m,) rank of the right CVE, from 1, of each row with a CVE that is in the index.
        bundle: ``name`` and ``digest``.
        speed: the contract's speed part, measured by the caller.
        groups: (n,) rows drawn together in the bootstrap; ``None``: each row for itself.
    """
    n = len(labels)
    scores = np.asarray(attack_scores, dtype=np.float64)
    benign = np.array([label == "benign" for label in labels], dtype=bool)
    attack = np.array([label not in (None, "benign") for label in labels], dtype=bool)
    named = [i for i, label in enumerate(labels) if label not in (None, "benign", "attack")]
    table = np.asarray(class_scores, dtype=np.float64).reshape(n, len(classes))
    if len(scores) != n or len(np.asarray(abstained)) != n:
        raise UsageError(f"{len(scores)} scores for {n} rows")
    report: dict[str, Any] = rounded(
        {
            "task": "payloads",
            "n": n,
            "bundle": {"name": bundle["name"], "digest": bundle["digest"]},
            "classification": classification(
                [str(labels[i]) for i in named],
                classes,
                table[named],
                np.asarray(abstained, dtype=bool)[named],
                None if groups is None else [groups[i] for i in named],
                seed=seed,
            ),
            "detection": detection(scores[benign], scores[attack], threshold),
            "retrieval": retrieval(ranks),
            "speed": dict(speed) if speed else None,
        }
    )
    return report


def classification(
    truth: Sequence[str],
    classes: Sequence[str],
    class_scores: ArrayLike,
    abstained: ArrayLike,
    groups: Sequence[object] | None = None,
    *,
    seed: int = 0,
) -> dict[str, Any] | None:
    """The contract's ``classification`` part: forced choice among the classes that occur."""
    if not len(truth):
        return None
    predicted = forced_choice(class_scores, classes, sorted(set(truth)))
    interval = macro_f1_ci(truth, predicted, groups, seed=seed)
    return {
        "n": len(truth),
        "accuracy": accuracy(truth, predicted),
        "macro_f1": macro_f1(truth, predicted),
        "macro_f1_ci": list(interval) if interval else None,
        "unknown_rate": float(np.mean(np.asarray(abstained, dtype=bool))),
        "per_class": per_class(truth, predicted),
    }


def rounded(value: Any, digits: int = 4) -> Any:
    """A copy of ``value`` with every float in it rounded and NumPy numbers made plain."""
    if isinstance(value, Mapping):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item, digits) for item in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), digits)
    return int(value) if isinstance(value, np.integer) else value
