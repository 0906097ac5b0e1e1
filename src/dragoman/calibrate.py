"""Thresholds from validation scores, never from test scores.

A record is flagged when its score is at or above the threshold of :func:`threshold_at_fpr`; an
attack is called unknown when its class similarity is below that of :func:`unknown_threshold`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import UsageError


def threshold_at_fpr(benign: ArrayLike, rate: float, *, confidence: float | None = None) -> float:
    """The smallest threshold at which at most ``rate`` of the benign rows are flagged.

    Args:
        benign: (n,) scores of benign validation rows.
        rate: the false-positive rate aimed at, in [0, 1].
        confidence: if given, fewer rows are allowed above the threshold: so few that the true
            rate of the population the rows were drawn from is below ``rate`` with this confidence
            (exact binomial bound, Clopper and Pearson 1934, on the order statistic of the scores).

    With ``confidence`` and fewer than :func:`rows_needed` rows no threshold can be vouched for.
    Then, as with a ``rate`` below 1 / n, the threshold lies just above the highest benign score:
    the strictest that the rows can support. Compare n with ``rows_needed`` to know.

    Raises:
        UsageError: no rows, a score that is not a number, or a rate or confidence out of range.
    """
    scores = np.sort(_finite(benign, "benign scores"))[::-1]
    _within(rate, "rate")
    allowed = math.floor(rate * len(scores) + 1e-9)
    if confidence is not None:
        _within(confidence, "confidence")
        allowed = min(allowed, _vouched(len(scores), rate, confidence))
    if allowed >= len(scores):
        return float(scores[-1])
    return float(np.nextafter(scores[allowed], np.inf))


def rows_needed(rate: float, confidence: float) -> int:
    """Benign rows, none of them flagged, that show a rate below ``rate`` with ``confidence``.

    0.002 at 95 % needs 1,497 rows; 0.0007 needs 4,279.
    """
    if not 0 < rate < 1 or not 0 < confidence < 1:
        raise UsageError("rate and confidence must lie between 0 and 1")
    return math.ceil(math.log(1 - confidence) / math.log1p(-rate) - 1e-9)


def unknown_threshold(similarity: ArrayLike, *, lost: float = 0.05) -> float:
    """The class similarity below which an attack is called unknown.

    Args:
        similarity: (n,) similarity to the nearest class, of validation attacks of known classes.
        lost: the share of these rows that may fall below and become unknown, in [0, 1].

    The largest threshold that keeps to ``lost``: rows of equal similarity are lost together or
    not at all.

    Raises:
        UsageError: no rows, a value that is not a number, or ``lost`` out of range.
    """
    values = np.sort(_finite(similarity, "similarities"))
    _within(lost, "lost")
    allowed = math.floor(lost * len(values) + 1e-9)
    if allowed >= len(values):
        return float(np.nextafter(values[-1], np.inf))
    return float(values[allowed])


def _vouched(n: int, rate: float, confidence: float) -> int:
    """The most rows k above the threshold for which P(Binomial(n, rate) <= k) <= 1 - confidence."""
    if rate in (0.0, 1.0):
        return n if rate == 1.0 else 0
    log_p, log_q, total, k = math.log(rate), math.log1p(-rate), 0.0, 0
    while k <= n:
        ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        total += math.exp(ways + k * log_p + (n - k) * log_q)
        if total > 1 - confidence:
            break
        k += 1
    return max(k - 1, 0)


def _finite(values: ArrayLike, what: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise UsageError(f"{what} must be a non-empty row of finite numbers")
    return array


def _within(value: float, what: str) -> None:
    if not 0 <= value <= 1:
        raise UsageError(f"{what} must lie between 0 and 1, not {value}")
