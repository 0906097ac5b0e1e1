"""Metrics: against scikit-learn, against brute force, and on the edges."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman import evaluate
from dragoman.errors import UsageError

metrics = pytest.importorskip("sklearn.metrics", reason="compared with scikit-learn [train]")

few = st.integers(0, 4).map(float)  # few values: many ties
rows = st.lists(few, min_size=1, max_size=40)


def labels(n: int, seed: int = 0) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    names = ["sql", "xss", "path", "rare"]
    truth = rng.choice(names, n, p=[0.4, 0.3, 0.25, 0.05]).tolist()
    return truth, [t if rng.random() < 0.7 else str(rng.choice(names)) for t in truth]


# --- classification


def test_per_class_matches_scikit_learn() -> None:
    truth, predicted = labels(300)
    report = metrics.classification_report(truth, predicted, output_dict=True, zero_division=0)
    for name, found in evaluate.per_class(truth, predicted).items():
        assert found["n"] == report[name]["support"]
        assert found["precision"] == pytest.approx(report[name]["precision"])
        assert found["recall"] == pytest.approx(report[name]["recall"])
        assert found["f1"] == pytest.approx(report[name]["f1-score"])
    assert evaluate.accuracy(truth, predicted) == pytest.approx(report["accuracy"])


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1))
def test_macro_f1_matches_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truth, predicted = zip(*pairs, strict=True)
    kept = [name for name in set(truth) if truth.count(name) >= 3]
    found = evaluate.macro_f1(truth, predicted, min_rows=3)
    if not kept:
        assert found is None
        return
    expected = metrics.f1_score(truth, predicted, labels=kept, average="macro", zero_division=0)
    assert found == pytest.approx(expected)


def test_macro_f1_leaves_out_classes_with_fewer_than_twenty_rows() -> None:
    truth = ["sql"] * 20 + ["rare"] * 19
    assert evaluate.macro_f1(truth, ["sql"] * 39) == pytest.approx(2 * 20 / 59)
    assert evaluate.macro_f1(truth[1:], ["sql"] * 38) is None


def test_forced_choice_looks_only_at_the_classes_that_occur() -> None:
    scores = [[0.1, 0.9, 0.5], [0.7, 0.9, 0.2]]
    assert evaluate.forced_choice(scores, ["a", "b", "c"], ["a", "c", "z"]) == ["c", "a"]
    with pytest.raises(UsageError):
        evaluate.forced_choice(scores, ["a", "b", "c"], ["z"])


def test_interval_repeats_holds_the_value_and_grows_with_grouping() -> None:
    truth, predicted = labels(400)
    value = evaluate.macro_f1(truth, predicted)
    interval = evaluate.macro_f1_ci(truth, predicted, seed=3)
    assert value is not None
    assert interval is not None
    assert interval == evaluate.macro_f1_ci(truth, predicted, seed=3)
    assert interval != evaluate.macro_f1_ci(truth, predicted, seed=4)
    assert interval[0] < value < interval[1]
    # every row ten times, copies in one group: ten times the rows tell nothing new
    grouped = evaluate.macro_f1_ci(truth * 10, predicted * 10, list(range(400)) * 10)
    naive = evaluate.macro_f1_ci(truth * 10, predicted * 10)
    assert grouped is not None
    assert naive is not None
    assert grouped[1] - grouped[0] > 2 * (naive[1] - naive[0])


def test_interval_is_near_the_plain_bootstrap() -> None:
    truth, predicted = labels(200, seed=1)
    rng, drawn = np.random.default_rng(9), []
    kept = [name for name in set(truth) if truth.count(name) >= 20]
    for _ in range(400):
        pick = rng.integers(0, 200, 200)
        a, b = [truth[i] for i in pick], [predicted[i] for i in pick]
        drawn.append(metrics.f1_score(a, b, labels=kept, average="macro"))
    found = evaluate.macro_f1_ci(truth, predicted)
    assert found == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02)


def test_paired_difference_sees_what_separate_intervals_hide() -> None:
    truth, weak = labels(400)
    strong = list(weak)
    for i in [i for i, (t, p) in enumerate(zip(truth, weak, strict=True)) if t != p][:20]:
        strong[i] = truth[i]
    found = evaluate.macro_f1_difference(truth, strong, weak)
    assert found is not None
    assert found["lo"] > 0
    assert found["share_above"] > 0.95
    a, b = evaluate.macro_f1_ci(truth, strong), evaluate.macro_f1_ci(truth, weak)
    assert a is not None
    assert b is not None
    assert a[0] < b[1]
    same = evaluate.macro_f1_difference(truth, weak, weak)
    assert same == {"difference": 0.0, "lo": 0.0, "hi": 0.0, "share_above": 0.0}


def test_rows_without_group_stand_alone() -> None:
    assert evaluate.codes(["x", None, "x", None], 4).tolist() == [0, 1, 0, 2]
    assert evaluate.codes(None, 3).tolist() == [0, 1, 2]
    with pytest.raises(UsageError):
        evaluate.codes(["x"], 2)


# --- detection


@settings(deadline=None)
@given(rows, rows)
def test_auroc_matches_scikit_learn(benign: list[float], attack: list[float]) -> None:
    expected = metrics.roc_auc_score([0] * len(benign) + [1] * len(attack), benign + attack)
    assert evaluate.auroc(benign, attack) == pytest.approx(expected)


@settings(deadline=None)
@given(rows, rows, st.sampled_from([0.0, 0.0007, 0.01, 0.1, 0.25, 0.5, 1.0]))
def test_tpr_at_fpr_is_the_best_over_all_thresholds(
    benign: list[float], attack: list[float], rate: float
) -> None:
    best = 0.0
    for threshold in [*benign, *attack, np.inf]:
        if np.mean(np.array(benign) >= threshold) <= rate:
            best = max(best, float(np.mean(np.array(attack) >= threshold)))
    assert evaluate.tpr_at_fpr(benign, attack, rate) == pytest.approx(best)


def test_tpr_at_fpr_counts_allowed_rows_exactly() -> None:
    benign = np.arange(10_000) / 10_000  # 0.0007 of 10,000 is 7 although 0.0007 * 10_000 < 7
    attack = [0.9992, 0.99925]
    assert evaluate.tpr_at_fpr(benign, attack, 0.0007) == 0.5


def test_detection_at_the_threshold() -> None:
    found = evaluate.detection([0.1, 0.2, 0.6, 0.7], [0.6, 0.9], 0.6)
    assert found is not None
    assert (found["tpr"], found["fpr"], found["balanced_accuracy"]) == (1.0, 0.5, 0.75)
    assert list(found["tpr_at_fpr"]) == ["0.0007", "0.001", "0.01"]


def test_detection_without_one_side() -> None:
    assert evaluate.detection([], [], 0.5) is None
    found = evaluate.detection([0.1, 0.9], [], 0.5)
    assert found is not None
    assert found["fpr"] == 0.5
    assert found["tpr"] is found["auroc"] is found["tpr_at_fpr"]["0.01"] is None


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(0, 50))
def test_wilson_interval_holds_the_rate(hits: int, more: int) -> None:
    n = hits + more
    lo, hi = evaluate.wilson(hits, n)
    assert 0 <= lo <= (hits / n if n else 0.5) + 1e-12
    assert (hits / n if n else 0.5) - 1e-12 <= hi <= 1


def test_wilson_known_value() -> None:
    assert evaluate.wilson(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    with pytest.raises(UsageError):
        evaluate.wilson(3, 2)


@pytest.mark.parametrize("bad", [[], [float("nan")], [[1.0]]])
def test_scores_must_be_numbers(bad: list[float]) -> None:
    with pytest.raises(UsageError):
        evaluate.auroc(bad, [1.0])


# --- retrieval and open set


def test_retrieval() -> None:
    found = evaluate.retrieval([1, 2, 10, 11, 0])
    assert found is not None
    assert found["n"] == 5
    assert found["hit@1"] == 0.2
    assert found["hit@10"] == 0.6
    assert found["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 10 + 1 / 11) / 5)
    assert evaluate.retrieval([]) is None


@settings(deadline=None)
@given(rows, rows, st.data())
def test_open_set(known: list[float], unknown: list[float], data: st.DataObject) -> None:
    right = data.draw(st.lists(st.booleans(), min_size=len(known), max_size=len(known)))
    found = evaluate.open_set(known, unknown, right, 2.0)
    pairs = [
        (k > u) + (k == u) / 2 for k, ok in zip(known, right, strict=True) for u in unknown if ok
    ]
    assert found["oscr"] == pytest.approx(sum(pairs) / (len(known) * len(unknown)))
    assert found["oscr"] <= found["auroc"] + 1e-12
    assert found["known_kept"] == pytest.approx(np.mean(np.array(known) >= 2))
    assert found["unknown_found"] == pytest.approx(np.mean(np.array(unknown) < 2))


# --- the report


def report(rows: list[str | None], seed: int = 0) -> dict:  # type: ignore[type-arg]
    rng = np.random.default_rng(seed)
    return evaluate.payload_report(
        labels=rows,
        classes=["a", "b", "c"],
        class_scores=rng.random((len(rows), 3)),
        attack_scores=rng.random(len(rows)),
        abstained=rng.random(len(rows)) < 0.5,
        threshold=0.5,
        ranks=[1, 3],
        bundle={"name": "base", "digest": "sha256:00", "date": "left out"},
        speed={"records_per_s": 1000.123456, "p50_ms": 1.0, "p99_ms": 2.0, "peak_rss_mb": 300.0},
    )


def test_report_has_the_shape_of_the_contract() -> None:
    found = report(["a"] * 30 + ["b"] * 25 + ["attack"] * 3 + ["benign"] * 40 + [None])
    assert json.loads(json.dumps(found)) == found
    assert list(found) == [
        "task", "n", "bundle", "classification", "detection", "retrieval", "speed",
    ]  # fmt: skip
    assert (found["task"], found["n"]) == ("payloads", 99)
    assert found["bundle"] == {"name": "base", "digest": "sha256:00"}
    part = found["classification"]
    assert list(part) == ["n", "accuracy", "macro_f1", "macro_f1_ci", "unknown_rate", "per_class"]
    assert part["n"] == 55
    assert list(part["per_class"]) == ["a", "b"]
    assert list(part["per_class"]["a"]) == ["n", "precision", "recall", "f1"]
    assert (found["detection"]["n_attack"], found["detection"]["n_benign"]) == (58, 40)
    assert list(found["retrieval"]) == ["n", "hit@1", "hit@10", "mrr"]
    assert found["speed"]["records_per_s"] == 1000.1235


def test_report_parts_without_rows_are_null() -> None:
    found = report(["benign", None])
    assert found["classification"] is None
    assert found["detection"]["tpr"] is None
    assert report([None])["detection"] is None
    assert report([])["n"] == 0
    assert report(["a"])["classification"]["macro_f1"] is None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "attack", "benign", None]), max_size=60), st.integers())
def test_report_never_fails_and_is_plain_json(rows: list[str | None], seed: int) -> None:
    json.dumps(report(rows, abs(seed)), allow_nan=False)
