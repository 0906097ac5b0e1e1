"""The peer: TF-IDF of character 1- to 4-grams with logistic regression, from scikit-learn."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

NAME = "TF-IDF (char 1-4) + logistic regression"
SAMPLES = 400  # synthetic payloads of each class it is fitted on
CHUNK = 512  # requests a worker takes at once

_model: Any = None  # a worker's own


def fit(samples: int = SAMPLES) -> Any:
    """TF-IDF with logistic regression (a scikit-learn pipeline) on synthetic payloads."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from .. import synth

    drawn = [s for slug in synth.classes() for s in synth.generate(slug, samples, seed=0)]
    texts = [sample.payload.decode("utf-8", "replace") for sample in drawn]
    model = make_pipeline(
        TfidfVectorizer(analyzer="char", ngram_range=(1, 4)), LogisticRegression(max_iter=200)
    )
    return model.fit(texts, [sample.label for sample in drawn])


def workers(cores: int) -> ProcessPoolExecutor:
    """Processes that hold the fitted peer, started and warm.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    pool = ProcessPoolExecutor(cores, get_context("spawn"), _start, (fit(),))
    list(pool.map(_flags, [["warm up"] * CHUNK] * 4 * cores))
    return pool


def scan(pool: ProcessPoolExecutor, path: Path) -> int:
    """Score every request of a file of JSON lines; gives their number."""
    with path.open(encoding="utf-8") as file:
        texts = (_text(json.loads(line)) for line in file)
        chunks = iter(lambda: list(islice(texts, CHUNK)), [])
        return sum(map(len, pool.map(_flags, chunks)))


def _text(row: dict[str, str]) -> str:
    if "payload" in row:
        return row["payload"]
    return base64.b64decode(row["payload_b64"]).decode("utf-8", "replace")


def _start(model: Any) -> None:
    global _model
    _model = model


def _flags(texts: list[str]) -> list[float]:
    """The best class's probability of each text."""
    best: list[float] = _model.predict_proba(texts).max(axis=1).tolist()
    return best
