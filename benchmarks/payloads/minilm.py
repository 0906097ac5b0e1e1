"""Frozen all-MiniLM-L6-v2 as a peer: its nearest labelled neighbours, and its nearest class text.

A record is read decoded, without host and headers, as the TF-IDF peers' ``core``; 128 tokens of it.

* ``minilm-knn``: votes of the k nearest training rows, weighted by cosine, one set of rows for the
  class and one for attack or benign; k is tuned on validation rows.
* ``minilm-zero-shot``: cosine to each class text; whether the text includes how attacks look, and
  whether the space is centred on the mean of the classes, is tuned on validation rows. The score
  for detection is the highest cosine: nothing is learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import baselines
import numpy as np
from baselines import Row
from label import CLASSES
from numpy.typing import NDArray

from dragoman.calibrate import threshold_at_fpr
from dragoman.evaluate import auroc, macro_f1
from dragoman.intel.threats import builtin
from dragoman.model.text import embed, load_minilm
from dragoman.model.train import parts_of

Floats = NDArray[np.float32]
Read = Callable[[Sequence[Row]], Floats]
KS = (1, 5, 15, 50)
ROWS = 12_000  # training rows of each task
VALID = 3_000
TOGETHER = 1_024


def reader() -> Read:
    """Rows -> unit vectors (n, 384); equal texts are read once."""
    tower, tokenizer = load_minilm()

    def read(rows: Sequence[Row]) -> Floats:
        texts = [text[:1024] for text in baselines.read(rows, "core")]
        distinct = sorted(set(texts))
        at = {text: i for i, text in enumerate(distinct)}
        vectors: Floats = embed(tower, tokenizer, distinct).numpy()
        return vectors[[at[text] for text in texts]]

    return read


class Neighbours:
    """k-nearest-neighbour votes over labelled vectors."""

    def __init__(self, vectors: Floats, labels: Sequence[str], k: int = 1) -> None:
        self.classes = sorted(set(labels))
        self._vectors = vectors
        self._votes = np.eye(len(self.classes), dtype=np.float32)[
            [self.classes.index(label) for label in labels]
        ]
        self.k = k

    def scores(self, vectors: Floats) -> Floats:
        """(n, classes) shares of the votes."""
        out = np.zeros((len(vectors), len(self.classes)), np.float32)
        for start in range(0, len(vectors), TOGETHER):
            cosines = vectors[start : start + TOGETHER] @ self._vectors.T
            near = np.argpartition(-cosines, self.k - 1, axis=1)[:, : self.k]
            weight = np.take_along_axis(cosines, near, axis=1).clip(1e-3)
            votes = np.einsum("nk,nkc->nc", weight, self._votes[near])
            out[start : start + TOGETHER] = votes / weight.sum(1, keepdims=True)
        return out


def fit(rows: Path, tests: dict[str, list[Row]], fpr: float) -> dict[str, list[dict[str, Any]]]:
    """Both peers' answers in the form ``systems.py`` keeps."""
    train, valid = (baselines.load(rows / f"{name}.jsonl.gz") for name in ("train", "valid"))
    read = reader()
    requests = [r for r in valid if r["label"] == "benign" and r["kind"] == "http"]
    parts = {name: (test, read(test)) for name, test in tests.items()}
    benign = read(requests)
    named, named_trials = _tuned(read, train, valid, "classes")
    found, found_trials = _tuned(read, train, valid, "detect")
    attack = found.classes.index("attack")
    knn = _answers(
        parts, named.classes, named.scores, lambda v: found.scores(v)[:, attack], benign, fpr
    ) | {"about": {"k": {"classes": named.k, "detect": found.k},
                   "validation": {"classes": named_trials, "detect": found_trials}}}  # fmt: skip
    texts, centre, trials = _class_texts(read, valid)
    nearness = lambda v: (v - centre) @ texts.T  # noqa: E731
    zero = _answers(
        parts, list(CLASSES), nearness, lambda v: nearness(v).max(1), benign, fpr
    ) | {"about": {"validation": trials}}  # fmt: skip
    return {"minilm-knn": [{"seed": 1, **knn}], "minilm-zero-shot": [{"seed": 1, **zero}]}


def _tuned(
    read: Read, train: Sequence[Row], valid: Sequence[Row], task: baselines.Task
) -> tuple[Neighbours, dict[int, float]]:
    some = baselines.sample(train, task, ROWS, 1)
    model = Neighbours(read(some), [str(baselines.target(row, task)) for row in some])
    judged = baselines.sample(valid, task, VALID, 1)
    vectors, wanted = read(judged), [str(baselines.target(row, task)) for row in judged]
    trials: dict[int, float] = {}
    for k in (k for k in KS if k <= len(some)):
        model.k = k
        scores = model.scores(vectors)
        if task == "detect":
            attack, is_attack = scores[:, model.classes.index("attack")], np.array(wanted)
            trials[k] = auroc(attack[is_attack != "attack"], attack[is_attack == "attack"])
        else:
            trials[k] = macro_f1(wanted, [model.classes[i] for i in scores.argmax(1)]) or 0.0
    model.k = max(trials, key=lambda k: trials[k])
    return model, {k: round(score, 4) for k, score in trials.items()}


def _class_texts(read: Read, valid: Sequence[Row]) -> tuple[Floats, Floats, dict[str, float]]:
    """Vectors of the class texts, the centre, and every variant's validation macro-F1."""
    tower, tokenizer = load_minilm()
    texts = {t.slug: t for t in builtin()}
    judged = baselines.sample(valid, "classes", VALID, 1)
    vectors, wanted = read(judged), [row["label"] for row in judged]
    best: tuple[float, Floats, Floats] | None = None
    trials: dict[str, float] = {}
    for looks, centred in product((False, True), (False, True)):
        rows = []
        for slug in CLASSES:
            text = texts[slug]
            said = parts_of(text)[: None if looks else 1]
            rows.append(embed(tower, tokenizer, said).numpy().mean(0))
        raw = np.stack(rows) / np.linalg.norm(rows, axis=1, keepdims=True)
        centre = raw.mean(0) if centred else np.zeros_like(raw[0])
        anchors = (raw - centre) / np.linalg.norm(raw - centre, axis=1, keepdims=True)
        predicted = [CLASSES[i] for i in ((vectors - centre) @ anchors.T).argmax(1)]
        score = macro_f1(wanted, predicted) or 0.0
        trials[f"looks={looks} centred={centred}"] = round(score, 4)
        if best is None or score > best[0]:
            best = score, anchors.astype(np.float32), centre.astype(np.float32)
    assert best is not None
    return best[1], best[2], trials


def _answers(
    parts: dict[str, tuple[list[Row], Floats]],
    classes: Sequence[str],
    nearness: Callable[[Floats], Floats],
    attack: Callable[[Floats], Floats],
    benign: Floats,
    fpr: float,
) -> dict[str, Any]:
    answers = {}
    for name, (test, vectors) in parts.items():
        at = [i for i, row in enumerate(test) if row["label"] in CLASSES]
        answers[name] = {
            "n": len(test),
            "with_class": at,
            "nearness": nearness(vectors[at]).round(5).tolist() if at else [],
            "attack": [float(f"{v:.7g}") for v in attack(vectors)],
        }
    threshold = float(threshold_at_fpr(attack(benign).astype(np.float64), fpr))
    return {"threshold": threshold, "classes": list(classes), "answers": answers}
