"""Render ``results.json`` as Markdown, the same text for the same figures.

    python benchmarks/payloads/table.py results.json [--only PART...] [--into FILE]

Prints the parts asked for (default: all). With ``--into``, what lies between the lines
``<!-- results -->`` and ``<!-- /results -->`` of FILE is replaced instead.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import probe_table

Results = dict[str, Any]

TITLES = {
    "later": "later years", "exploitdb": "exploit-db, read by eye",
    "exploitdb_sample": "exploit-db, first draw", "exploitdb_look": "exploit-db, second draw",
    "disguised": "both, in browser headers", "httpparams": "HttpParams", "csic": "CSIC 2010",
    "benign_hosts": "benign, unseen hosts", "mixed": "attacks among benign, as they came",
    "mixed_disguised": "attacks among benign, in the same headers",
}  # fmt: skip
DRAWS = ("exploitdb_sample", "exploitdb_look")
FPR_ALLOWED = 0.002  # benign requests of unseen hosts that may be flagged
WEAK = 0.6  # F1 below which a class is named among the poor results
FEW = 20  # rows below which a class does not count in macro-F1
BREAK = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.S)


# --- cells


def spread(value: dict[str, float] | None, percent: bool = False) -> str:
    """Mean, and lowest to highest where seeds differ."""
    if value is None:
        return ""
    one: Callable[[float], str] = (lambda v: f"{v:.2%}") if percent else (lambda v: f"{v:.3f}")
    mean = one(value["mean"])
    if value["min"] == value["max"]:
        return mean
    return f"{mean} ({one(value['min'])} to {one(value['max'])})"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column to the left, the others to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def _shown(results: Results, name: str) -> str:
    return f"**{name}**" if name == results["ours"] else name


def _views(results: Results, metric: str, *, draws: bool = False) -> list[str]:
    """Views for which our system has the metric, in the order of the titles."""
    views = [v for v in TITLES if v in results["views"] and (draws or v not in DRAWS)]
    return [v for v in views if metric in results["views"][v]["summary"][results["ours"]]]


def _systems(results: Results) -> list[str]:
    return list(dict.fromkeys(s["name"] for s in results["systems"]))


# --- parts


def classification(results: Results) -> str:
    """Macro-F1 and accuracy of every system on every set."""
    views = _views(results, "classification.macro_f1", draws=True)
    rows = []
    for name in _systems(results):
        cells = []
        for view in views:
            scores = results["views"][view]["summary"][name]
            macro = spread(scores.get("classification.macro_f1"))
            cells.append(f"{macro} / {scores['classification.accuracy']['mean']:.3f}")
        rows.append([_shown(results, name), *cells])
    head = ["macro-F1 / accuracy", *(TITLES[v] for v in views)]
    note = "Mean over seeds, lowest to highest in brackets. Macro-F1: classes with 20 rows or more."
    return markdown(head, rows) + "\n\n" + note


def against(results: Results) -> str:
    """Ours minus each other system, with the paired intervals."""
    views = _views(results, "classification.macro_f1", draws=True)
    names = [name for name in _systems(results) if name != results["ours"]]
    rows = []
    for name in names:
        cells = []
        for view in views:
            of_view = results["views"][view]
            found = of_view["against"][name]
            lo = min(s["lo"] for s in found["per_seed"])
            hi = max(s["hi"] for s in found["per_seed"])
            best = " †" if name == of_view["best_peer"] else ""
            word = {"above": "**above**", "below": "below", "no": "inside"}[found["outside"]]
            cells.append(f"{found['difference']:+.3f} [{lo:+.3f}, {hi:+.3f}] {word}{best}")
        rows.append([name, *cells])
    head = [f"macro-F1, {results['ours']} minus", *(TITLES[v] for v in views)]
    note = (
        "Mean difference over seeds; in brackets the widest 95 % interval, paired bootstrap over"
        " groups. *above*, *below*: zero lies outside every seed's interval; *inside*: it does not."
        " † the best peer on that set, chosen by its score on that very set."
    )
    return markdown(head, rows) + "\n\n" + note


def detection(results: Results) -> str:
    """Rates at the shipped threshold and at given false-positive rates."""
    rows = []
    for view in ("mixed_disguised", "mixed", "csic", "httpparams", "benign_hosts"):
        for name in _systems(results) if view in results["views"] else ():
            scores = results["views"][view]["summary"][name]
            shown = [
                spread(scores.get(f"detection.{key}"), percent=True)
                for key in (
                    "tpr",
                    "fpr",
                    "tpr_at_fpr.0.0007",
                    "tpr_at_fpr.0.001",
                    "tpr_at_fpr.0.01",
                )
            ]
            rows.append([TITLES[view], _shown(results, name), *shown])
    head = ["set", "system", "found", "false alarms", "found at 0.07 %", "at 0.1 %", "at 1 %"]
    ours = [s for s in results["systems"] if s["name"] == results["ours"]]
    notes = [
        "*found*, *false alarms*: at the shipped threshold, fitted on benign validation requests."
    ]
    for system in ours:
        found = system["views"].get("benign_hosts", {}).get("detection")
        if found:
            lo, hi = found["fpr_ci"]
            flagged = f"{round(found['fpr'] * found['n_benign'])} of {found['n_benign']:,}"
            notes.append(
                f"{system['name']}, seed {system['seed']}: {flagged} benign requests flagged"
                f" (95 % interval {lo:.2%} to {hi:.2%})."
            )
    return markdown(head, rows) + "\n\n" + " ".join(notes)


def shipped(results: Results) -> str:
    """What a user sees of attacks that have a class."""
    keys = ("right", "other_class", "unknown", "missed")
    views = _views(results, "as_shipped.right")
    rows = [
        [TITLES[view], _shown(results, name)]
        + [spread(results["views"][view]["summary"][name][f"as_shipped.{k}"], True) for k in keys]
        for view in views
        for name in _systems(results)
    ]
    head = ["set", "system", "named rightly", "another class", "unknown", "missed"]
    return markdown(head, rows)


def classes(results: Results) -> str:
    """F1 of each class, ours and the best peer's."""
    rows = []
    for view in _views(results, "classification.macro_f1"):
        best = results["views"][view]["best_peer"]
        mine, theirs = (_per_class(results, view, name) for name in (results["ours"], best))
        for slug, found in mine.items():
            few = "" if found["n"] >= FEW else " (few)"
            cells = [f"{found[k]:.3f}" for k in ("precision", "recall", "f1")]
            peer = f"{theirs[slug]['f1']:.3f}" if best else ""
            rows.append([TITLES[view], slug, f"{found['n']:,}{few}", *cells, peer])
    head = ["set", "class", "rows", "precision", "recall", "F1", "F1 of the best peer"]
    return markdown(head, rows)


def _per_class(results: Results, view: str, name: str | None) -> dict[str, dict[str, float]]:
    """Means over seeds."""
    seeds = [
        s["views"][view]["classification"]["per_class"]
        for s in results["systems"]
        if s["name"] == name
    ]
    return {
        slug: {key: fmean(s[slug][key] for s in seeds) for key in found} | {"n": found["n"]}
        for slug, found in (seeds[0] if seeds else {}).items()
    }


def retrieval(results: Results) -> str:
    """Nearest CVEs, where a set has rows with a CVE of the index."""
    rows = []
    for view in (v for v in TITLES if v in results["views"]):
        for name in _systems(results):
            scores = results["views"][view]["summary"][name]
            if "retrieval.mrr" in scores:
                of_seed = next(s for s in results["systems"] if s["name"] == name)
                n = of_seed["views"][view]["retrieval"]["n"]
                cells = [spread(scores[f"retrieval.{k}"]) for k in ("hit@1", "hit@10", "mrr")]
                rows.append([TITLES[view], _shown(results, name), f"{n:,}", *cells])
    head = ["set", "system", "rows", "hit@1", "hit@10", "MRR"]
    return markdown(head, rows) if rows else "No row has a CVE that the index holds."


def poor(results: Results) -> str:
    """What is bad, said plainly: nothing here is chosen by hand."""
    ours, found = results["ours"], []
    for view in _views(results, "classification.macro_f1"):
        best = results["views"][view]["best_peer"]
        for name, one in results["views"][view]["against"].items():
            if one["outside"] != "above" and (name == best or not name.startswith("tfidf")):
                say = "is below" if one["outside"] == "below" else "is not above"
                found.append(f"{TITLES[view]}: {ours} {say} {name} outside the interval.")
        weak = [
            f"{slug} {c['f1']:.2f} ({c['n']} rows)"
            for slug, c in _per_class(results, view, ours).items()
            if c["f1"] < WEAK
        ]
        if weak:
            found.append(f"{TITLES[view]}: F1 under {WEAK} for {', '.join(weak)}.")
    for system in (s for s in results["systems"] if s["name"] == ours):
        fpr = (system["views"].get("benign_hosts", {}).get("detection") or {}).get("fpr")
        if fpr is not None and fpr > FPR_ALLOWED:
            found.append(
                f"Seed {system['seed']} flags {fpr:.2%} of benign requests of unseen hosts,"
                f" more than {FPR_ALLOWED:.1%}."
            )
    for name, one in results["data"]["sets"].items():
        if one["near_generated"]:
            found.append(
                f"{TITLES.get(name, name)}: {one['near_generated']:,} of {one['n']:,} rows are"
                " near-duplicates of rows the grammar generates for training."
            )
    return "\n".join(f"* {line}" for line in found) or "Nothing that these rules look for."


def text_tower(results: Results) -> str:
    """What int8 changes in the text tower's retrieval, if it was measured."""
    found = results.get("text_tower")
    if not found:
        return "Not measured in this run (`--measured text_tower=FILE`)."
    n = {"threat": found["n"], "known_item": found["known_item"]["n"]}
    body = [
        [f"{what} ({n[key]} descriptions)", k, *_change(found[key][k])]
        for key, what in (
            ("threat", "threat of a CVE of a later year"),
            ("known_item", "first half of a description by its second"),
        )
        for k in found[key]
        if k != "n"
    ]
    return markdown(["search", "rate", "float32", "int8", "difference"], body)


def _change(one: dict[str, Any]) -> list[str]:
    gap = one["difference"]
    return [
        f"{one['float32']:.3f}",
        f"{one['int8']:.3f}",
        f"{gap['mean']:+.3f} [{gap['lo']:+.3f}, {gap['hi']:+.3f}]",
    ]


def speed(results: Results) -> str:
    """``bench payloads``, if it was given."""
    bench = results.get("speed")
    if not bench:
        return "Not measured in this run (`--measured speed=FILE`)."
    from dragoman.bench import render

    return markdown(["speed", "figure"], [list(row) for row in render(bench)])


def probe(name: str, *tables: Callable[[Results], probe_table.Table]) -> Callable[[Results], str]:
    """A part made of the probes' tables, if ``name`` was measured."""

    def part(results: Results) -> str:
        if not results.get(name):
            return f"Not measured in this run (`--measured {name}=FILE`)."
        return "\n\n".join(markdown(*table(results)) for table in tables)

    return part


PARTS: dict[str, tuple[str, Callable[[Results], str]]] = {
    "classification": ("Which class", classification),
    "against": ("Compared", against),
    "detection": ("Attack or benign", detection),
    "shipped": ("What a user sees of an attack", shipped),
    "classes": ("Class by class", classes),
    "retrieval": ("Nearest CVE", retrieval),
    "poor": ("What is poor", poor),
    "swap": (
        "Same attack, other context: flipped verdicts",
        probe("probes", probe_table.context_swap, probe_table.swap_kinds),
    ),
    "removed": (
        "Attack taken out: findings in what is left",
        probe("probes", probe_table.parts_removed),
    ),
    "evasion": (
        "Attack rewritten: detected ones lost",
        probe("evasion", probe_table.evasion, probe_table.evasion_kinds),
    ),
    "zero_shot": ("Classes known by text alone", probe("zero_shot", probe_table.zero_shot)),
    "planted": ("A planted token that lies", probe("planted", probe_table.planted)),
    "text_tower": ("The text tower as int8", text_tower),
    "speed": ("Speed", speed),
}


def render(results: Results, only: Sequence[str] = ()) -> str:
    """The parts as Markdown with headings."""
    return "\n\n".join(
        f"### {title}\n\n{part(results)}"
        for key, (title, part) in PARTS.items()
        if key in (only or PARTS)
    )


def replaced(text: str, body: str) -> str:
    """``text`` with ``body`` between the markers.

    Raises:
        ValueError: the markers are missing.
    """
    if not BREAK.search(text):
        raise ValueError("no lines <!-- results --> and <!-- /results -->")
    return BREAK.sub(lambda match: f"{match[1]}\n{body}\n\n{match[2]}", text)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=[], metavar="PART")
    parser.add_argument("--into", type=Path, help="a Markdown file with the two markers")
    args = parser.parse_args(argv)
    body = render(json.loads(args.results.read_text("utf-8")), args.only)
    if args.into:
        args.into.write_text(replaced(args.into.read_text("utf-8"), body), "utf-8")
    else:
        print(body)


if __name__ == "__main__":
    main()
