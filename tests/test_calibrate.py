"""Thresholds keep what they promise, on any scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman import calibrate
from dragoman.errors import UsageError

scores = st.lists(
    st.one_of(st.floats(-1e6, 1e6), st.integers(0, 3).map(float)), min_size=1, max_size=200
)
rates = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.0007, 0.002, 0.1, 0.5, 1.0]))


def flagged(values: list[float], threshold: float) -> float:
    return float(np.mean(np.array(values) >= threshold))


@settings(deadline=None)
@given(scores, rates)
def test_rate_is_kept_and_no_smaller_threshold_keeps_it(values: list[float], rate: float) -> None:
    threshold = calibrate.threshold_at_fpr(values, rate)
    assert flagged(values, threshold) <= rate + 1e-9
    lower = [v for v in values if v < threshold]
    if lower:  # the next lower score as threshold flags too many
        assert flagged(values, max(lower)) > rate


@settings(deadline=None)
@given(scores, st.floats(0.001, 0.999), st.floats(0.5, 0.999))
def test_confidence_is_never_laxer(values: list[float], rate: float, confidence: float) -> None:
    plain = calibrate.threshold_at_fpr(values, rate)
    sure = calibrate.threshold_at_fpr(values, rate, confidence=confidence)
    assert sure >= plain
    if len(values) < calibrate.rows_needed(rate, confidence):
        assert sure > max(values)


@pytest.mark.parametrize(("rate", "confidence"), [(0.05, 0.95), (0.02, 0.9), (0.2, 0.99)])
def test_true_rate_stays_below_with_the_stated_confidence(rate: float, confidence: float) -> None:
    rng = np.random.default_rng(5)
    drawn, n = 4_000, 400
    broken = 0
    for _ in range(drawn):  # of uniform scores the true rate above a threshold t is 1 - t
        threshold = calibrate.threshold_at_fpr(rng.random(n), rate, confidence=confidence)
        broken += 1 - threshold > rate
    slack = 4 * math.sqrt(confidence * (1 - confidence) / drawn)
    assert broken / drawn <= 1 - confidence + slack
    assert broken > 0  # not needlessly strict


def test_bound_is_the_exact_binomial_one() -> None:
    stats = pytest.importorskip("scipy.stats", reason="compared with SciPy [train]")
    for n in (100, 1_000, 5_000):
        values = np.arange(n, dtype=float)
        for rate in (0.002, 0.01, 0.3):
            threshold = calibrate.threshold_at_fpr(values, rate, confidence=0.95)
            k = int((values >= threshold).sum())
            if n >= calibrate.rows_needed(rate, 0.95):
                assert stats.beta.ppf(0.95, k + 1, n - k) <= rate + 1e-12
                assert stats.beta.ppf(0.95, k + 2, n - k - 1) > rate
            else:
                assert k == 0


def test_rows_needed() -> None:
    assert calibrate.rows_needed(0.002, 0.95) == 1_497
    assert calibrate.rows_needed(0.0007, 0.95) == 4_279
    with pytest.raises(UsageError):
        calibrate.rows_needed(0.0, 0.95)


@settings(deadline=None)
@given(scores, rates)
def test_unknown_loses_at_most_the_share_and_is_as_high_as_can_be(
    values: list[float], lost: float
) -> None:
    threshold = calibrate.unknown_threshold(values, lost=lost)
    below = np.array(values) < threshold
    assert below.mean() <= lost + 1e-9
    kept = [v for v in values if v >= threshold]
    if kept:  # a threshold above the lowest kept row would lose too many
        assert np.mean(np.array(values) <= min(kept)) > lost


@pytest.mark.parametrize("bad", [[], [float("nan")], [float("inf")], [[1.0]]])
def test_scores_must_be_finite_numbers(bad: list[float]) -> None:
    for fit in (calibrate.unknown_threshold, lambda v: calibrate.threshold_at_fpr(v, 0.1)):
        with pytest.raises(UsageError):
            fit(bad)


def test_shares_must_be_shares() -> None:
    with pytest.raises(UsageError):
        calibrate.threshold_at_fpr([1.0], 1.5)
    with pytest.raises(UsageError):
        calibrate.threshold_at_fpr([1.0], 0.1, confidence=-1)
    with pytest.raises(UsageError):
        calibrate.unknown_threshold([1.0], lost=2)
