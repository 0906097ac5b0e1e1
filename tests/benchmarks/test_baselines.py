"""The peers really learn, choose by validation, and give scores for every class."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the peers need the extra [train]")
import baselines

PAYLOADS = {
    "sql-injection": "' or {0}={0} union select {1} from {2}--",
    "cross-site-scripting": "<script>alert({0})</script>{1}{2}",
    "path-traversal": "../../{1}/../etc/{2}?{0}",
    "benign": "{1} {2} {0}",
    "attack": "%27{1}|{2}",
}


def rows(n: int, seed: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    out = []
    for i in range(n):
        label = list(PAYLOADS)[i % len(PAYLOADS)]
        words = ["".join(rng.choices("abcdefgh", k=6)) for _ in range(2)]
        value = PAYLOADS[label].format(rng.randrange(100), *words)
        if i % 2:
            value = (
                f"GET /{words[0]}?q={value.replace(' ', '+')} HTTP/1.1\r\nHost: h.example\r\n\r\n"
            )
        out.append({"payload": value, "kind": "http" if i % 2 else "value", "label": label})
    return out


@pytest.mark.parametrize("model", ["logistic", "forest"])
def test_class_peer_learns(model: Any) -> None:
    grid = baselines.GRIDS[model][:3]
    peer = baselines.fit(rows(300, 1), rows(100, 2), 0, model=model, grid=grid)
    assert peer.classes_ == ["cross-site-scripting", "path-traversal", "sql-injection"]
    assert len(peer.trials) == 3
    assert max(t["score"] for t in peer.trials) > 0.95
    fresh = [r for r in rows(60, 3) if r["label"] in peer.classes_]
    scores = peer.predict_scores(fresh)
    assert scores.shape == (len(fresh), 3)
    assert np.allclose(scores.sum(axis=1), 1)
    right = [peer.classes_[i] == r["label"] for i, r in zip(scores.argmax(1), fresh, strict=True)]
    assert np.mean(right) > 0.9


def test_best_setting_is_fitted_again_on_more_rows() -> None:
    grid = baselines.GRIDS["logistic"][:1]
    small = baselines.fit(rows(600, 1), rows(100, 2), 0, limit=30, grid=grid)
    large = baselines.fit(rows(600, 1), rows(100, 2), 0, limit=30, final=600, grid=grid)
    assert small.trials[0]["score"] == large.trials[0]["score"]
    assert len(large.vectorizer.vocabulary_) > 2 * len(small.vectorizer.vocabulary_)
    fresh = [r for r in rows(60, 3) if r["label"] in large.classes_]
    assert large.predict_scores(fresh).shape == (len(fresh), 3)


def test_detection_peer_learns_and_repeats_itself() -> None:
    grid = baselines.GRIDS["logistic"][:2]
    one, two = (
        baselines.fit(rows(300, 1), rows(100, 2), 7, task="detect", grid=grid) for _ in range(2)
    )
    assert one.classes_ == ["attack", "benign"]
    fresh = rows(60, 3)
    assert np.array_equal(one.predict_scores(fresh), two.predict_scores(fresh))
    attack = one.predict_scores(fresh)[:, 0]
    benign = np.array([r["label"] == "benign" for r in fresh])
    assert attack[~benign].mean() > attack[benign].mean() + 0.2


def test_sample_cuts_the_largest_classes_first() -> None:
    many = rows(500, 1) + [r for r in rows(2_000, 2) if r["label"] == "sql-injection"]
    found = baselines.sample(many, "classes", 350, 0)
    counts = Counter(r["label"] for r in found)
    assert counts == {"cross-site-scripting": 100, "path-traversal": 100, "sql-injection": 150}
    assert found == baselines.sample(many, "classes", 350, 0)


def test_what_a_peer_reads() -> None:
    row = {"payload": "GET /a?q=%3Cb%3E HTTP/1.1\r\nHost: h.example\r\n\r\n", "kind": "http"}
    assert baselines.read([row], "core") == ["get /a?q=<b> "]
    assert "h.example" in baselines.read([row], "decoded")[0]
    assert "%3Cb%3E" in baselines.read([row], "raw")[0]
    assert all(len(grid) == 12 for grid in baselines.GRIDS.values())
