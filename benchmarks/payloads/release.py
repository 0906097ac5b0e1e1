"""Put a trained bundle into the package, with a card that says what it is and how it measured.

    python benchmarks/payloads/release.py --bundle runs/base/bundle --rows runs/rows
        --results benchmarks/payloads/results.json

Copies the bundle to ``src/dragoman/bundles/base`` and rewrites ``MODEL_CARD.md`` and the card in
``bundle.json``; the bundle's digest does not change, for the card bears on no verdict.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from dragoman import bundle as bundles

TEXTS = (
    ("CVE descriptions of `texts/`", "CVE terms of use; ids and vectors only"),
    ("CWE and CAPEC entries", "MITRE's terms of use; not in the bundle"),
    ("Threat classes of `intel/threats.toml`", "Apache-2.0, written for Dragoman"),
    ("Payload grammars of `synth/classes/`", "Apache-2.0, written for Dragoman"),
    ("all-MiniLM-L6-v2, the text tower's starting point", "Apache-2.0"),
)
NOTES = """\
## Intended use and limits

Naming the threat class of web requests and ranking known vulnerabilities near them, as a help to
a person. It is no web application firewall: it reads requests after the fact, and an attack that
looks like ordinary input (a stolen password, a plain path) gives it nothing to read. Benign rows
come from few browsers and mostly Chinese sites; the threshold was fitted on such traffic.
Scrubbed values in those rows hold random filler, which digit and token masking takes out before
the model reads them.

blazehttp's requests (GPL-3.0) served as statistics of benign traffic: no request or part of one
is in the bundle, whose table holds weights of hashed n-grams.
"""


def rows_of(card: dict[str, Any], results: dict[str, Any]) -> list[str]:
    """The card's lines."""
    data = card["data"]
    lines = [
        f"# Model card: {card['recipe']}",
        "",
        f"Trained {card['created']} by `dragoman train {card['recipe']}`, seed {card['seed']}, "
        f"on CPU. Bundle {card['digest'][:12]}.",
        "",
        "## Data and licences",
        "",
        "| source | licence | use |",
        "|---|---|---|",
        *(f"| {s['name']} | {s['licence']} | {s['use']} |" for s in data["sources"]),
        *(f"| {name} | {licence} | texts and weights |" for name, licence in TEXTS),
        "",
        "`train`: learnt from; `benign`: statistics of benign traffic; `test`: measured on, never "
        "learnt from; `never`: not used.",
        "",
        f"Rows: {', '.join(f'{name} {n:,}' for name, n in card['rows'].items())}.",
        "",
        "## Thresholds (validation data only)",
        "",
        f"Finding from score {card['threshold']:.4f}; named from similarity {card['known']:.4f}.",
        "",
        "```json",
        json.dumps({k: card[k] for k in ("text_tower", "validation") if k in card}, indent=1),
        "```",
        "",
        "## Measured",
        "",
        "`python benchmarks/payloads/run.py` (benchmarks/payloads/README.md has the commands):",
        "",
        "```json",
        json.dumps(results, indent=1),
        "```",
        "",
    ]
    return lines + NOTES.splitlines()


def figures_of(results: dict[str, Any], digest: str) -> dict[str, Any]:
    """Headline figures of this very bundle, from the results file."""
    for system in results["systems"]:
        if system.get("digest") == digest:
            return {name: _headline(part) for name, part in system["views"].items()}
    raise SystemExit(f"the results hold no run of bundle {digest[:12]}")


def _headline(part: dict[str, Any]) -> dict[str, Any]:
    named, found = part.get("classification") or {}, part.get("detection") or {}
    out = {key: named.get(key) for key in ("n", "accuracy", "macro_f1", "macro_f1_ci")}
    out |= {key: found.get(key) for key in ("n_benign", "n_attack", "tpr", "fpr")}
    return {key: value for key, value in out.items() if value is not None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name in ("bundle", "rows", "results"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    loaded = bundles.load(args.bundle)
    results = json.loads(args.results.read_text("utf-8"))
    to = bundles.SHIPPED
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(args.bundle, to)
    manifest = json.loads((to / "bundle.json").read_text("utf-8"))
    figures = figures_of(results, loaded.digest)
    card = manifest["card"] | {
        "data": json.loads((args.rows / "card.json").read_text("utf-8")),
        "created": manifest["created"],
        "measured": figures,
    }
    text = "\n".join(rows_of(card | {"digest": loaded.digest}, figures)) + "\n"
    (to / bundles.CARD).write_text(text, "utf-8")
    manifest["card"] = card
    manifest["files"][bundles.CARD] = hashlib.sha256(text.encode()).hexdigest()
    (to / "bundle.json").write_text(json.dumps(manifest, indent=1), "utf-8")
    print(f"{to}: bundle {bundles.load(to).digest[:12]}")


if __name__ == "__main__":
    main()
