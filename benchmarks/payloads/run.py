"""Measure bundles and peers on every test set and write the committed evidence.

    python benchmarks/payloads/run.py --data DIR --rows ROWS --bundles DIR [DIR...]
        --out results.json [--baselines PATH] [--measured NAME=FILE...] [--recipe base] [--jobs N]

ROWS is what ``data.py --out`` wrote; where it is missing, it is written first, from ``--data``.
Bundles of one recipe are seeds of one system; the first bundle's recipe is called ours and compared
with all others. ``--baselines`` keeps the fitted peers' answers. ``--measured`` takes in what other
commands found: ``speed=`` (``dragoman bench payloads --json``), ``text_tower=`` (``quantised.py``),
``probes=``, ``evasion=``, ``zero_shot=``, ``planted=`` (the scripts of those names).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import baselines
import numpy as np
from baselines import Row
from label import CLASSES, fold_key, text_of
from systems import SEEDS, Answers, Effort, System, generated, of_bundle, of_peers, tests_in

from dragoman import __version__, evaluate
from dragoman import recipe as recipes
from dragoman.evaluate import forced_choice, macro_f1_difference, payload_report, wilson
from dragoman.recipe import Recipe

Part = tuple[str, list[int]]  # a test set and rows of it
METRICS = (
    "classification.macro_f1", "classification.accuracy", "classification.unknown_rate",
    "detection.tpr", "detection.fpr", "detection.auroc", "detection.tpr_at_fpr.0.0007",
    "detection.tpr_at_fpr.0.001", "detection.tpr_at_fpr.0.01",
    "retrieval.hit@1", "retrieval.hit@10", "retrieval.mrr",
    "as_shipped.right", "as_shipped.other_class", "as_shipped.unknown", "as_shipped.missed",
)  # fmt: skip
MEASURED = ("speed", "text_tower", "probes", "evasion", "zero_shot", "planted")
ELSEWHERE = f"what other commands measured; NAME is one of {', '.join(MEASURED)}"
# Attack requests of later and exploitdb among benign requests of unseen hosts: as they came, and
# with the benign requests' host and headers.
MIXED = {"mixed": ("later", "exploitdb"), "mixed_disguised": ("disguised",)}


def views(tests: dict[str, list[Row]]) -> dict[str, list[Part]]:
    """What is reported: each test set, the draws of exploitdb, and the mixed detection sets."""
    out: dict[str, list[Part]] = {name: [(name, list(range(len(r))))] for name, r in tests.items()}
    for draw in ("sample", "look"):
        chosen = [i for i, r in enumerate(tests.get("exploitdb", [])) if r.get("draw") == draw]
        if chosen:
            out[f"exploitdb_{draw}"] = [("exploitdb", chosen)]
    for view, attacks in MIXED.items():
        mixed = [
            (name, [i for i, r in enumerate(tests.get(name, [])) if r["kind"] == "http"])
            for name in (*attacks, "benign_hosts")
        ]
        if all(chosen for _, chosen in mixed):
            out[view] = mixed
    return out


def rows_of(tests: dict[str, list[Row]], parts: list[Part]) -> list[Row]:
    """The rows of a view."""
    return [tests[name][i] for name, chosen in parts for i in chosen]


def answers_of(system: System, parts: list[Part]) -> Answers:
    """A system's answers to the rows of a view; retrieval is asked of whole sets only."""
    first = system.answers[parts[0][0]]
    cut = [(system.answers[name], chosen) for name, chosen in parts]
    return Answers(
        first.classes,
        np.concatenate([a.nearness[c] for a, c in cut]),
        np.concatenate([a.attack[c] for a, c in cut]),
        np.concatenate([a.named[c] for a, c in cut]),
        first.ranks if len(cut) == 1 and len(first.attack) == len(parts[0][1]) else (),
    )


# --- one system on one view


def report(
    system: System, rows: list[Row], answers: Answers, *, detect_only: bool
) -> dict[str, Any]:
    """The contract's classification, detection and retrieval, with intervals for every rate."""
    labels = [row["label"] for row in rows]
    flagged = answers.attack >= system.threshold
    whole = payload_report(
        labels=labels,
        classes=answers.classes,
        class_scores=answers.nearness,
        attack_scores=answers.attack,
        abstained=~answers.named | ~flagged,
        threshold=system.threshold,
        ranks=answers.ranks,
        bundle={"name": system.name, "digest": str(system.about.get("digest"))},
        speed=None,
        groups=[row.get("group") for row in rows],
    )
    out = {key: whole[key] for key in ("classification", "detection", "retrieval")}
    if out["classification"]:
        wanted, predicted, groups = choices(rows, answers)
        right = [a == b for a, b in zip(wanted, predicted, strict=True)]
        out["classification"]["accuracy_ci"] = accuracy_ci(right, groups)
        out["as_shipped"] = as_shipped(rows, answers, flagged)
    for side, rate, n in (("attack", "tpr", "n_attack"), ("benign", "fpr", "n_benign")):
        of_side = np.array([(x == "benign") == (side == "benign") for x in labels])
        if out["detection"][n]:
            hits = int(flagged[of_side].sum())
            out["detection"] |= {f"{rate}_ci": wilson(hits, int(of_side.sum()))}
    kept = {"detection": out["detection"]} if detect_only else out
    rounded: dict[str, Any] = evaluate.rounded(kept)
    return rounded


def choices(rows: list[Row], answers: Answers) -> tuple[list[str], list[str], list[str | None]]:
    """True class, class chosen among those that occur, and group of each row that has a class."""
    at = [i for i, row in enumerate(rows) if row["label"] in CLASSES]
    wanted = [rows[i]["label"] for i in at]
    predicted = forced_choice(answers.nearness[at], answers.classes, sorted(set(wanted)))
    return wanted, predicted, [rows[i].get("group") for i in at]


def accuracy_ci(right: Sequence[bool], groups: Sequence[str | None]) -> list[float]:
    """Percentile interval of the share that is right, by a bootstrap over groups."""
    group = evaluate.codes(groups, len(right))
    rows = np.bincount(group)
    hits = np.bincount(group, weights=np.asarray(right, float))
    rng = np.random.default_rng(0)
    drawn: list[float] = []
    for _ in range(evaluate.SAMPLES):
        weights = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)))
        drawn.append(float(weights @ hits / (weights @ rows)))
    return [float(v) for v in np.quantile(drawn, [0.025, 0.975])]


def as_shipped(rows: list[Row], answers: Answers, flagged: Any) -> dict[str, float]:
    """What a user sees of rows that have a class, all classes allowed: shares that add up to 1."""
    counts: Counter[str] = Counter()
    for row, found, named, nearness in zip(
        rows, flagged, answers.named, answers.nearness, strict=True
    ):
        if row["label"] in CLASSES:
            call = answers.classes[int(nearness.argmax())]
            fate = "right" if call == row["label"] else "other_class"
            counts["missed" if not found else fate if named else "unknown"] += 1
    fates = ("right", "other_class", "unknown", "missed")
    return {fate: counts[fate] / counts.total() for fate in fates}


# --- all systems


def summary(systems: list[dict[str, Any]], view: str) -> dict[str, dict[str, Any]]:
    """Per system, mean, lowest and highest of each metric over its seeds."""
    out: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(s["name"] for s in systems):
        seeds = [s["views"][view] for s in systems if s["name"] == name]
        metrics: dict[str, Any] = {"seeds": len(seeds)}
        for metric in METRICS:
            values = [v for v in (_at(one, metric) for one in seeds) if v is not None]
            if values:
                spread = {"mean": float(np.mean(values)), "min": min(values), "max": max(values)}
                metrics[metric] = evaluate.rounded(spread)
        out[name] = metrics
    return out


def _at(view: dict[str, Any], metric: str) -> float | None:
    part, _, key = metric.partition(".")
    inner = view.get(part) or {}
    if key.startswith("tpr_at_fpr."):
        inner, key = inner.get("tpr_at_fpr") or {}, key.removeprefix("tpr_at_fpr.")
    value: float | None = inner.get(key)
    return value


def differences(
    systems: list[System], ours: str, rows: list[Row], parts: list[Part], scores: dict[str, Any]
) -> dict[str, Any]:
    """Macro-F1 of ours minus that of each other system, by a paired bootstrap per seed.

    ``outside`` is ``above`` (``below``) when every seed's interval lies above (below) zero, else
    ``no``. ``best_peer`` is chosen by its score on this very set, to our disadvantage.
    """
    by_name: dict[str, list[System]] = defaultdict(list)
    for system in systems:
        by_name[system.name].append(system)
    out: dict[str, Any] = {"best_peer": None, "against": {}}
    peers = [name for name, of in by_name.items() if of[0].about["kind"] == "peer"]
    if scores[ours].get("classification.macro_f1") is None:
        return out
    if peers:
        out["best_peer"] = max(peers, key=lambda n: scores[n]["classification.macro_f1"]["mean"])
    for name, others in by_name.items():
        if name != ours:
            seeds = []
            for number, mine in enumerate(by_name[ours]):
                other = others[number % len(others)]
                found = _difference(mine, other, rows, parts)
                seeds.append({"seed": mine.seed, "other_seed": other.seed, **found})
            out["against"][name] = {
                "difference": round(float(np.mean([s["difference"] for s in seeds])), 4),
                "outside": "above" if all(s["lo"] > 0 for s in seeds)
                else "below" if all(s["hi"] < 0 for s in seeds) else "no",
                "per_seed": seeds,
            }  # fmt: skip
    return out


def _difference(
    mine: System, other: System, rows: list[Row], parts: list[Part]
) -> dict[str, float]:
    wanted, ours, groups = choices(rows, answers_of(mine, parts))
    _, theirs, _ = choices(rows, answers_of(other, parts))
    found = macro_f1_difference(wanted, ours, theirs, groups)
    if found is None:
        raise ValueError("no class has enough rows")
    result: dict[str, float] = evaluate.rounded(found)
    return result


# --- the data


def described(rows: Path, tests: dict[str, list[Row]], made: set[str]) -> dict[str, Any]:
    """What the sets hold; ``near_generated``: rows that a generated training row comes near to."""
    card = rows / "card.json"
    sets = {}
    for name, path in tests_in(rows).items():
        keys = [fold_key(text_of(row), row["kind"]) for row in tests[name]]
        sets[name] = {
            "n": len(keys),
            "labels": dict(sorted(Counter(row["label"] for row in tests[name]).items())),
            "near_generated": sum(key in made for key in keys),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
    built = json.loads(card.read_text("utf-8")) if card.is_file() else None
    return {"sets": sets, "built": built}


def made_keys(recipe: Recipe, seeds: set[int]) -> set[str]:
    """Near-duplicate keys of all rows generated for training."""
    return {
        fold_key(text_of(row), row["kind"])
        for seed in sorted(seeds)
        for row in generated(recipe, seed)
    }


def results(
    rows: Path, systems: list[System], recipe: Recipe, measured: dict[str, Any]
) -> dict[str, Any]:
    """The whole JSON; ``measured`` is what other commands found, by name."""
    tests = {name: baselines.load(path) for name, path in tests_in(rows).items()}
    ours = systems[0].name
    out: dict[str, Any] = {
        "task": "payload benchmark",
        "ours": ours,
        "data": described(rows, tests, made_keys(recipe, {s.seed for s in systems})),
        "views": {},
        "systems": [
            {"name": s.name, "seed": s.seed, "threshold": s.threshold, **s.about, "views": {}}
            for s in systems
        ],
    }
    for view, parts in views(tests).items():
        of_view = rows_of(tests, parts)
        for system, entry in zip(systems, out["systems"], strict=True):
            answers = answers_of(system, parts)
            entry["views"][view] = report(system, of_view, answers, detect_only=view in MIXED)
        scores = summary(out["systems"], view)
        compared = differences(systems, ours, of_view, parts, scores)
        out["views"][view] = {"n": len(of_view), "summary": scores, **compared}
    out["versions"] = {"python": platform.python_version(), "dragoman": __version__}
    out["versions"] |= {name: version(name) for name in ("numpy", "scikit-learn", "onnxruntime")}
    return out | measured


def elsewhere(named: str) -> tuple[str, Any]:
    """A ``NAME=FILE`` argument; examples, which quote test rows, stay out of the committed file."""
    name, _, path = named.partition("=")
    if name not in MEASURED or not path:
        raise SystemExit(f"--measured {named}: NAME=FILE with one of {', '.join(MEASURED)}")
    return name, _without_examples(json.loads(Path(path).read_text("utf-8")))


def _without_examples(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_examples(v) for k, v in value.items() if k != "examples"}
    return value


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="holds payload/ and vuln_text/")
    parser.add_argument(
        "--rows", type=Path, required=True, help="what data.py wrote, or is to write"
    )
    parser.add_argument("--bundles", type=Path, nargs="+", required=True, help="ours first")
    parser.add_argument("--baselines", type=Path, help="where the peers' answers are kept")
    parser.add_argument("--measured", nargs="+", default=[], metavar="NAME=FILE", help=ELSEWHERE)
    parser.add_argument("--recipe", default="base", help="whose generated rows the peers get too")
    parser.add_argument("--tune", type=int, default=Effort().tune, help="rows peers are tuned on")
    parser.add_argument("--final", type=int, default=Effort().final, help="rows they then learn")
    parser.add_argument(
        "--jobs", type=int, default=1, help="peers fitted at the same time, at most 4"
    )
    parser.add_argument("--models", nargs="+", choices=list(SEEDS), default=list(SEEDS))
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    if not (args.rows / "train.jsonl.gz").is_file():
        if args.data is None:
            parser.error(f"{args.rows} holds no rows, and --data does not say what to make them of")
        script = Path(__file__).with_name("data.py")
        command = [sys.executable, str(script), "--data", str(args.data), "--out", str(args.rows)]
        subprocess.run(command, check=True)
    recipe, sets = recipes.load(args.recipe), tests_in(args.rows)
    systems = []
    for folder in args.bundles:
        systems.append(of_bundle(folder, sets))
        print(
            f"{folder.name}: read {sum(len(a.attack) for a in systems[-1].answers.values()):,} rows"
        )
    cache = args.baselines or args.out.with_name("baselines.json")
    effort = Effort(args.tune, args.final)
    systems += of_peers(
        args.rows, sets, recipe, cache, effort=effort, models=args.models, jobs=args.jobs
    )
    found = results(args.rows, systems, recipe, dict(map(elsewhere, args.measured)))
    args.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
