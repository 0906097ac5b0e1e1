"""The peers: TF-IDF n-grams with logistic regression or a random forest, tuned on validation rows.

    model = fit(train_rows, valid_rows, seed)                       # which class is this attack?
    model = fit(train_rows, valid_rows, seed, task="detect")        # attack or benign?
    model.predict_scores(rows)                                      # (rows, model.classes_)

Rows are dicts of the labelled-payload format. Every setting of :data:`GRIDS` is fitted on the
training rows and judged on the validation rows (macro-F1, or AUROC for detection); the best is
kept, never a test row seen. What a peer may read is tuned as well: the record as received
(``raw``), fully decoded (``decoded``), or decoded without headers and host (``core``). One thread.

    python benchmarks/payloads/baselines.py --rows DIR [--limit 25000] [--model forest]

``DIR`` is what ``data.py`` wrote; prints every setting tried and the score on each test file.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from label import core, decoded, text_of
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from dragoman.evaluate import auroc, macro_f1

Row = dict[str, Any]
Task = Literal["classes", "detect"]
Setting = dict[str, Any]

MAX_TEXT = 3_000  # characters of a record that a peer reads
MAX_FEATURES = {"logistic": 200_000, "forest": 20_000}
GRIDS: dict[str, list[Setting]] = {
    "logistic": [
        {"read": read, "analyzer": analyzer, "ngrams": ngrams, "C": c}
        for read, (analyzer, ngrams), c in product(
            ("core", "decoded", "raw"), (("char", (1, 5)), ("word", (1, 2))), (3.0, 100.0)
        )
    ],
    "forest": [
        {"read": read, "analyzer": analyzer, "ngrams": ngrams, "leaf": leaf}
        for read, (analyzer, ngrams), leaf in product(
            ("core", "decoded", "raw"), (("char", (1, 3)), ("word", (1, 2))), (1, 3)
        )
    ],
}


@dataclass
class Peer:
    """A fitted peer. ``trials`` lists every setting tried with its validation score."""

    classes_: list[str]
    setting: Setting
    vectorizer: TfidfVectorizer
    classifier: LogisticRegression | RandomForestClassifier
    trials: list[Setting] = field(default_factory=list)

    def predict_scores(self, rows: Sequence[Row]) -> np.ndarray:
        """(rows, classes) probabilities, columns in the order of ``classes_``."""
        texts = read(rows, self.setting["read"])
        return np.asarray(self.classifier.predict_proba(self.vectorizer.transform(texts)))


def read(rows: Sequence[Row], how: str) -> list[str]:
    """What a peer sees of each row."""
    return [_read(row, how)[:MAX_TEXT] for row in rows]


def _read(row: Row, how: str) -> str:
    data = text_of(row)
    if how == "raw":
        return data.decode("utf-8", "replace")
    return decoded(core(data) if how == "core" and row.get("kind") == "http" else data)


def target(row: Row, task: Task) -> str | None:
    """The class to learn, or ``None`` when the row is of no use for the task."""
    label = row.get("label")
    if task == "detect":
        return None if label is None else "benign" if label == "benign" else "attack"
    return None if label in (None, "benign", "attack") else label


def sample(rows: Sequence[Row], task: Task, limit: int, seed: int) -> list[Row]:
    """At most ``limit`` rows useful for the task; the largest classes are cut first."""
    by_class: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        name = target(row, task)
        if name:
            by_class[name].append(row)
    rng, left, chosen = random.Random(seed), limit, []
    for done, name in enumerate(sorted(by_class, key=lambda n: (len(by_class[n]), n))):
        part = by_class[name]
        take = min(len(part), left // (len(by_class) - done))
        chosen += rng.sample(part, take)
        left -= take
    return chosen


def fit(
    train: Sequence[Row],
    valid: Sequence[Row],
    seed: int = 0,
    *,
    model: Literal["logistic", "forest"] = "logistic",
    task: Task = "classes",
    limit: int = 25_000,
    final: int = 0,
    grid: Sequence[Setting] | None = None,
) -> Peer:
    """The best peer of a grid (default: :data:`GRIDS`) by validation score.

    Settings are tried on at most ``limit`` training rows; the best is then fitted again on up to
    ``final`` rows, if that is more.
    """
    everything, train = train, sample(train, task, limit, seed)
    valid = sample(valid, task, limit, seed)
    truth = [str(target(row, task)) for row in train]
    wanted = [str(target(row, task)) for row in valid]
    best: tuple[float, Peer] | None = None
    trials: list[Setting] = []
    features: dict[tuple[Any, ...], tuple[TfidfVectorizer, Any, Any]] = {}
    for setting in GRIDS[model] if grid is None else grid:
        key = (setting["read"], setting["analyzer"], setting["ngrams"])
        if key not in features:
            vectorizer, train_x = _vectorized(setting, train, MAX_FEATURES[model])
            valid_x = vectorizer.transform(read(valid, setting["read"]))
            features = {key: (vectorizer, train_x, valid_x)}
        vectorizer, train_x, valid_x = features[key]
        start = time.perf_counter()
        classifier = _classifier(model, setting, seed).fit(train_x, truth)
        names = [str(name) for name in classifier.classes_]
        score = _judge(classifier.predict_proba(valid_x), names, wanted, task)
        trials.append({**setting, "score": score, "seconds": time.perf_counter() - start})
        if best is None or score > best[0]:
            best = score, Peer(names, dict(setting), vectorizer, classifier)
    if best is None:
        raise ValueError("an empty grid")
    peer = best[1]
    peer.trials = trials
    rows = sample(everything, task, max(final, limit), seed)
    if len(rows) > len(train):
        peer.vectorizer, x = _vectorized(peer.setting, rows, MAX_FEATURES[model])
        y = [str(target(row, task)) for row in rows]
        peer.classifier = _classifier(model, peer.setting, seed).fit(x, y)
        peer.classes_ = [str(name) for name in peer.classifier.classes_]
    return peer


def _vectorized(setting: Setting, rows: Sequence[Row], most: int) -> tuple[TfidfVectorizer, Any]:
    words = {"token_pattern": r"\w+|[^\w\s]"} if setting["analyzer"] == "word" else {}
    vectorizer = TfidfVectorizer(
        analyzer=setting["analyzer"], ngram_range=setting["ngrams"], lowercase=True, min_df=2,
        max_features=most, sublinear_tf=True, dtype=np.float32, **words,
    )  # fmt: skip
    return vectorizer, vectorizer.fit_transform(read(rows, setting["read"]))


def _classifier(
    model: str, setting: Setting, seed: int
) -> LogisticRegression | RandomForestClassifier:
    if model == "logistic":
        return LogisticRegression(
            C=setting["C"], class_weight="balanced", max_iter=200, tol=1e-3, random_state=seed
        )
    return RandomForestClassifier(
        n_estimators=150, min_samples_leaf=setting["leaf"], class_weight="balanced_subsample",
        n_jobs=1, random_state=seed,
    )  # fmt: skip


def _judge(scores: np.ndarray, names: list[str], wanted: list[str], task: Task) -> float:
    if task == "detect":
        attack, is_attack = scores[:, names.index("attack")], np.array(wanted) == "attack"
        return auroc(attack[~is_attack], attack[is_attack])
    predicted = [names[i] for i in scores.argmax(axis=1)]
    return macro_f1(wanted, predicted, min_rows=5) or 0.0


def load(path: Path) -> list[Row]:
    """The rows of one ``.jsonl.gz``."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=Path, required=True, help="what data.py wrote")
    parser.add_argument("--limit", type=int, default=25_000)
    parser.add_argument("--model", choices=sorted(GRIDS), default="logistic")
    parser.add_argument("--task", choices=("classes", "detect"), default="classes")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    start = time.perf_counter()
    train, valid = (load(args.rows / f"{name}.jsonl.gz") for name in ("train", "valid"))
    peer = fit(train, valid, args.seed, model=args.model, task=args.task, limit=args.limit)
    for trial in peer.trials:
        print(json.dumps(trial))
    print(f"best {json.dumps(peer.setting)}, {time.perf_counter() - start:.0f} s in all")
    for path in sorted(args.rows.glob("test_*.jsonl.gz")):
        rows = [row for row in load(path) if target(row, args.task)]
        wanted = [str(target(row, args.task)) for row in rows]
        if len(set(wanted)) > 1:
            score = _judge(peer.predict_scores(rows), peer.classes_, wanted, args.task)
            print(f"{path.name.removesuffix('.jsonl.gz')}: {score:.4f} on {len(rows):,} rows")


if __name__ == "__main__":
    main()
