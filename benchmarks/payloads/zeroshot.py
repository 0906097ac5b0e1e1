"""Zero-shot: each class left out of payload training in turn, and known by its text alone.

    python benchmarks/payloads/zeroshot.py --rows ROWS --out DIR [--recipe base] [--classes SLUG...]
        [--steps N] [--per-class N] [--benign N] [--stage1 RUN/stage1.safetensors]

trains one bundle a class under DIR (a run that is already there is measured again, not trained
again) and writes DIR/zeroshot.json. Left out are the rows of the class, attacks of no class that
show a sign of it, and its grammar (``without`` in the recipe). The text tower knows the class: its
descriptions are text. It never depends on payloads, so ``--stage1`` may bring the checkpoint of
another run of the same recipe and seed, which saves its training.

Recall of the class is measured ``text`` (its text vector alone: what SALM does) and ``intel`` (its
built-in text added as a user would add it, ``Engine.add_intel(as_class=True)``, examples included):
``forced``, a forced choice among all eleven classes; ``found``, the share that is a finding at all;
``named``, the share that is a finding under this name. ``others`` is the share of attacks of the
ten other classes that are forced into this one.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import baselines
import numpy as np
from baselines import Row
from judges import OfEngine, payload_of, rate
from label import CLASSES, SHOWS, decoded, text_of
from plant import save, toml

from dragoman import recipe as recipes
from dragoman.engine import Engine
from dragoman.intel.threats import builtin
from dragoman.recipe import Recipe
from dragoman.records import Text

SETS = ("later", "exploitdb", "httpparams")
REAL = ("later", "exploitdb")  # whole requests: what the average is made over


def left_out(rows: Path, out: Path, slug: str) -> None:
    """A training directory without the class: no row of it, no unnamed attack that shows it."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("train", "valid"):
        kept = (row for row in baselines.load(rows / f"{name}.jsonl.gz") if not _of(row, slug))
        save(out / f"{name}.jsonl.gz", kept)
    if (rows / "texts").is_dir():
        shutil.copytree(rows / "texts", out / "texts", dirs_exist_ok=True)


def _of(row: Row, slug: str) -> bool:
    shows = row["label"] == "attack" and SHOWS[slug].search(decoded(text_of(row)))
    return row["label"] == slug or bool(shows)


def trained(rows: Path, out: Path, recipe: Recipe, slug: str, stage1: Path | None = None) -> Path:
    """The bundle of a run without the class; trained under ``out`` unless it is there."""
    from dragoman.model.train import run

    bundle = out / "run" / "bundle"
    if not (bundle / "bundle.json").is_file():
        left_out(rows, out / "rows", slug)
        own = replace(recipe, name=f"{recipe.name}-without-{slug}", without=(slug,))
        (out / "recipe.toml").write_text(toml(own), "utf-8")
        (out / "run").mkdir(exist_ok=True)
        if stage1 is not None and not (out / "run" / stage1.name).exists():
            shutil.copyfile(stage1, out / "run" / stage1.name)
        run(str(out / "recipe.toml"), out / "rows", out / "run", resume=True)
    return bundle


def described(slug: str) -> Text:
    """The built-in text of a class."""
    return next(text for text in builtin() if text.slug == slug)


def markdown(text: Text) -> str:
    """A class as the Markdown that `dragoman intel add --as-class` reads."""
    about = [f"id: {text.slug}", f"name: {text.title}", f"severity: {text.severity}"]
    about += [f"cwe: {', '.join(text.cwe)}"] if text.cwe else []
    looks = [f"- {look}" for look in text.looks]
    return "\n".join(["---", *about, "---", f"# {text.title}", text.body, *looks]) + "\n"


def measured(bundle: Path, rows: Path, slug: str, work: Path) -> dict[str, Any]:
    """Recall of the class by its text and by its added intelligence; ``work`` holds the latter."""
    work.mkdir(parents=True, exist_ok=True)
    page = work / f"{slug}.md"
    page.write_text(markdown(described(slug)), "utf-8")
    shutil.rmtree(work / "intel", ignore_errors=True)
    added = Engine.load(bundle, intel=work / "intel")
    added.add_intel(str(page), as_class=True)
    tests = {name: baselines.load(rows / f"test_{name}.jsonl.gz") for name in SETS}
    engines = {"text": Engine.load(bundle), "intel": added}
    return {how: _recall(engine, tests, slug) for how, engine in engines.items()}


def _recall(engine: Engine, tests: dict[str, list[Row]], slug: str) -> dict[str, Any]:
    """By set, and over the sets of whole requests together (``requests``)."""
    judge, sets, whole = OfEngine(engine), {}, []
    for name, rows in tests.items():
        attacks = [row for row in rows if row["label"] in CLASSES]
        payloads = [payload_of(row) for row in attacks]
        verdicts = {f.record: f.verdict for f in engine.scan(payloads)}
        told = [
            (row["label"] == slug, named == slug, row["id"] in verdicts,
             verdicts.get(row["id"]) == slug)
            for row, named in zip(attacks, judge.classify(payloads), strict=True)
        ]  # fmt: skip
        sets[name] = _rates(told)
        whole += told if name in REAL else []
    return {"requests": _rates(whole), **sets}


def _rates(told: list[tuple[bool, bool, bool, bool]]) -> dict[str, Any]:
    own = [rest for mine, *rest in told if mine]
    others = [forced for mine, forced, *_ in told if not mine]
    names = ("forced", "found", "named")
    shares = {name: rate(sum(one[i] for one in own), len(own)) for i, name in enumerate(names)}
    return shares | {"others": rate(sum(others), len(others))}


def average(classes: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean over the classes that have requests to test, by how the class was made known."""
    out: dict[str, dict[str, float]] = {}
    for how in ("text", "intel"):
        found = [one[how]["requests"] for one in classes.values()]
        for key in ("forced", "found", "named"):
            shares = [one[key]["share"] for one in found if one[key]["n"]]
            if shares:
                out.setdefault(how, {})[key] = round(float(np.mean(shares)), 4)
    return out


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=Path, required=True, help="what data.py wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", default="base")
    parser.add_argument("--classes", nargs="+", choices=list(CLASSES), default=list(CLASSES))
    parser.add_argument("--steps", type=int, help="of the payload tower; default: the recipe's")
    parser.add_argument("--per-class", type=int, help="generated attacks of a class")
    parser.add_argument("--benign", type=int, help="generated benign values")
    parser.add_argument("--stage1", type=Path, help="a text tower's checkpoint to start from")
    args = parser.parse_args(argv)
    recipe = recipes.load(args.recipe)
    stage2 = recipe.stage2 if args.steps is None else replace(recipe.stage2, steps=args.steps)
    grammar = recipe.grammar
    for key, value in (("per_class", args.per_class), ("benign", args.benign)):
        grammar = grammar if value is None else replace(grammar, **{key: value})
    recipe = replace(recipe, stage2=stage2, grammar=grammar)
    classes: dict[str, Any] = {}
    for slug in args.classes:
        bundle = trained(args.rows, args.out / slug, recipe, slug, args.stage1)
        classes[slug] = measured(bundle, args.rows, slug, args.out / slug)
        found = {"average": average(classes), "classes": classes}
        (args.out / "zeroshot.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        print(f"{slug}: {json.dumps(average({slug: classes[slug]}))}", flush=True)


if __name__ == "__main__":
    main()
