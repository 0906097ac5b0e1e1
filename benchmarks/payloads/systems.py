"""What is compared, bundles and peers, each asked the same about every row of every test set.

A peer is TF-IDF with a linear model or a forest (``baselines.py``): one model names the class, one
tells attacks from benign rows. It is trained twice: on the real rows, and on the real rows with the
generated ones that the recipe gives our own tower. Frozen MiniLM is asked too (``minilm.py``).
Answers of peers are cached as JSON, each keyed by all that it depends on.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, NamedTuple

import baselines
import minilm
import numpy as np
from baselines import Row
from label import CLASSES
from numpy.typing import NDArray

from dragoman import measure
from dragoman.calibrate import threshold_at_fpr
from dragoman.corpus import generate_rows
from dragoman.engine import Engine
from dragoman.recipe import Recipe
from dragoman.records import Labelled
from dragoman.sources.labelled import read_labelled

Model = Literal["logistic", "forest"]
MINILM = ("minilm-knn", "minilm-zero-shot")
SEEDS: dict[Model, tuple[int, ...]] = {"logistic": (1,), "forest": (1, 2, 3)}


class Answers(NamedTuple):
    """What a system says about n rows. ``ranks``: of the right CVE, where one is in the index."""

    classes: tuple[str, ...]
    nearness: NDArray[np.float64]  # (n, C)
    attack: NDArray[np.float64]  # (n,) the higher, the more likely an attack
    named: NDArray[np.bool_]  # (n,) near enough to a class to be named after it
    ranks: tuple[float, ...]


class System(NamedTuple):
    """One trained model: ``name`` is shared by its seeds, ``about`` is ready for JSON."""

    name: str
    seed: int
    threshold: float
    about: dict[str, Any]
    answers: dict[str, Answers]  # by test set


class Plan(NamedTuple):
    """One peer, all its seeds."""

    model: Model
    generated: bool

    @property
    def name(self) -> str:
        return f"tfidf-{self.model}" + ("+generated" if self.generated else "")


class Effort(NamedTuple):
    """Rows a peer is tuned on, and rows its best setting is then fitted on."""

    tune: int = 25_000
    final: int = 60_000


# --- bundles


def of_bundle(folder: Path, sets: dict[str, Path]) -> System:
    """A bundle's answers. Its name is the recipe's."""
    engine = Engine.load(folder)
    card = engine.info()["card"]
    about = {"kind": "bundle", "digest": engine.digest, "validation": card.get("validation")}
    answers = {name: _engine_answers(engine, path) for name, path in sets.items()}
    name, seed = str(card.get("recipe", engine.name)), int(card.get("seed", 0))
    return System(name, seed, engine.threshold, about, answers)


def _engine_answers(engine: Engine, path: Path) -> Answers:
    rows = []
    for row in read_labelled([path]):
        if not isinstance(row, Labelled):
            raise ValueError(f"{row.where}: {row.reason}")
        rows.append(row)
    # measure.py is what ``dragoman eval payloads`` runs: the same figures come out here
    scored, _ = measure._score(engine, rows)
    similarity, named = measure._decided(engine, scored)
    return Answers(
        tuple(engine.info()["classes"]),
        similarity.astype(np.float64),
        np.array([s.score for s in scored]),
        named,
        tuple(measure._ranks(engine, rows, scored)),
    )


# --- generated rows


def generated(recipe: Recipe, seed: int) -> list[Row]:
    """The rows that training with ``recipe`` generates, as the peers read rows."""
    return [
        {
            "id": row.payload.id,
            "payload_b64": base64.b64encode(row.payload.data).decode("ascii"),
            "kind": row.payload.kind,
            "label": row.label,
        }
        for row in generate_rows(recipe.grammar, seed)
    ]


# --- peers


def of_peers(
    rows: Path,
    sets: dict[str, Path],
    recipe: Recipe,
    cache: Path,
    *,
    effort: Effort = Effort(),  # noqa: B008 (frozen)
    models: Sequence[Model] = tuple(SEEDS),
    jobs: int = 1,
    note: Callable[[str], None] = print,
) -> list[System]:
    """All peers, from ``cache`` where it holds them for the same rows, recipe and effort."""
    kept = json.loads(cache.read_text("utf-8")) if cache.is_file() else {}
    plans = [Plan(model, more) for model in models for more in (False, True)]
    keys = {plan.name: _key(plan, rows, sets, recipe, effort) for plan in plans}
    keys |= {name: _files_key(rows, sets) for name in MINILM}
    found = {name: one for name, one in kept.items() if keys.get(name) == one["key"]}

    def keep(name: str, seeds: list[dict[str, Any]]) -> None:
        found[name] = {"key": keys[name], "seeds": seeds}
        note(f"{name}: fitted")
        fresh = cache.with_name(cache.name + ".new")
        fresh.write_text(json.dumps(found), "utf-8")
        fresh.replace(cache)

    if not found.keys() >= set(MINILM):
        tests = {name: baselines.load(path) for name, path in sets.items()}
        for name, seeds in minilm.fit(rows, tests, recipe.calibration.fpr).items():
            keep(name, seeds)
    for plan, seeds in _fitted(
        [p for p in plans if p.name not in found], jobs, rows, recipe, effort
    ):
        keep(plan.name, seeds)
    return [_system(name, one) for name in keys for one in found[name]["seeds"]]


def _key(plan: Plan, rows: Path, sets: dict[str, Path], recipe: Recipe, effort: Effort) -> str:
    """Of a peer: the files, its settings and, if it reads them, the generated rows."""
    settings = (baselines.GRIDS[plan.model], SEEDS[plan.model], effort, recipe.calibration.fpr)
    digest = hashlib.sha256(repr(settings).encode() + _files_key(rows, sets).encode())
    if plan.generated:
        for row in generated(recipe, SEEDS[plan.model][0]):
            digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()


def _files_key(rows: Path, sets: dict[str, Path]) -> str:
    digest = hashlib.sha256()
    for path in (rows / "train.jsonl.gz", rows / "valid.jsonl.gz", *sets.values()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _fitted(
    plans: Sequence[Plan], jobs: int, rows: Path, recipe: Recipe, effort: Effort
) -> Iterator[tuple[Plan, list[dict[str, Any]]]]:
    if jobs < 2:
        for plan in plans:
            yield plan, fit(plan, rows, recipe, effort)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(fit, plan, rows, recipe, effort): plan for plan in plans}
        for future in as_completed(futures):
            yield futures[future], future.result()


def fit(plan: Plan, rows: Path, recipe: Recipe, effort: Effort) -> list[dict[str, Any]]:
    """The peer's answers for each seed, ready for JSON; the first seed's setting serves all."""
    real, valid = (baselines.load(rows / f"{name}.jsonl.gz") for name in ("train", "valid"))
    tests = {name: baselines.load(path) for name, path in tests_in(rows).items()}
    chosen: dict[str, list[dict[str, Any]] | None] = {"classes": None, "detect": None}
    out = []
    for seed in SEEDS[plan.model]:
        train = real + generated(recipe, seed) if plan.generated else real
        models = {
            task: baselines.fit(
                train, valid, seed, model=plan.model, task=task, limit=effort.tune,
                final=effort.final, grid=chosen[task],
            )
            for task in ("classes", "detect")
        }  # fmt: skip
        about = {
            task: {
                "setting": peer.setting,
                "validation": [round(t["score"], 4) for t in peer.trials],
            }
            for task, peer in models.items()
        }
        chosen = {task: [peer.setting] for task, peer in models.items()}
        namer, detector = models["classes"], models["detect"]
        requests = [r for r in valid if r["label"] == "benign" and r["kind"] == "http"]
        threshold = threshold_at_fpr(_attack(detector, requests), recipe.calibration.fpr)
        answers = {name: _peer_answers(namer, detector, test) for name, test in tests.items()}
        out.append(
            {"seed": seed, "about": about, "threshold": threshold, "classes": namer.classes_}
            | {"answers": answers}
        )
    return out


def _attack(detector: baselines.Peer, rows: Sequence[Row]) -> NDArray[np.float64]:
    return detector.predict_scores(rows)[:, detector.classes_.index("attack")]


def _peer_answers(
    namer: baselines.Peer, detector: baselines.Peer, rows: Sequence[Row]
) -> dict[str, Any]:
    """Class scores of the rows that have a class only: the others never need them."""
    of_class = [row for row in rows if row["label"] in CLASSES]
    nearness = namer.predict_scores(of_class) if of_class else np.zeros((0, 0))
    return {
        "n": len(rows),
        "with_class": [i for i, row in enumerate(rows) if row["label"] in CLASSES],
        "nearness": [[round(float(v), 5) for v in row] for row in nearness],
        "attack": [float(f"{v:.7g}") for v in _attack(detector, rows)],
    }


def _system(name: str, kept: dict[str, Any]) -> System:
    classes = tuple(kept["classes"])
    answers = {}
    for test, a in kept["answers"].items():
        nearness = np.zeros((a["n"], len(classes)))
        if a["with_class"]:
            nearness[a["with_class"]] = a["nearness"]
        everything = np.ones(a["n"], bool)
        answers[test] = Answers(classes, nearness, np.array(a["attack"]), everything, ())
    about = {"kind": "peer", **kept["about"]}
    return System(name, kept["seed"], kept["threshold"], about, answers)


def tests_in(rows: Path) -> dict[str, Path]:
    """The test files that ``data.py`` wrote, by name without ``test_``."""
    paths = sorted(rows.glob("test_*.jsonl.gz"))
    return {p.name.removeprefix("test_").removesuffix(".jsonl.gz"): p for p in paths}
