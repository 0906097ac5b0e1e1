"""A benchmark on disk: labelled rows, the texts to train on, the rejected, and the data card."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import UsageError
from ..records import Rejected

CARD, JOURNAL, REJECTED = "card.json", "journal.jsonl", "rejected.jsonl"
TEXTS = "texts/cves.jsonl"
OWN = {"train.jsonl", "valid.jsonl", "test.jsonl", "texts", "README.md", CARD, JOURNAL, REJECTED}

Row = dict[str, Any]


def payload_of(data: bytes) -> Row:
    """The ``payload`` column of a row, or ``payload_b64`` if it is not UTF-8."""
    try:
        return {"payload": data.decode()}
    except UnicodeDecodeError:
        return {"payload_b64": base64.b64encode(data).decode()}


def prepare(out: Path) -> None:
    """Make the directory; an unfinished benchmark in it will be written anew.

    Raises:
        UsageError: it cannot be made, or holds a finished benchmark or files of something else.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        there = {path.name for path in out.iterdir()}
    except OSError as err:
        raise UsageError(f"cannot write here: {err.strerror}", where=str(out)) from err
    if CARD in there:
        hint = f"name another directory, or remove {CARD} to build it anew"
        raise UsageError("holds a finished benchmark", where=str(out), hint=hint)
    if other := there - OWN:
        raise UsageError(
            f"holds other files: {min(other)}", where=str(out), hint="name an empty directory"
        )


def rejected(out: Path, payloads: list[Row], texts: list[Rejected]) -> None:
    """``rejected.jsonl``: payloads with their reason, then vulnerability records (the first)."""
    _lines(out / REJECTED, [*payloads, *(text.to_dict() for text in texts)])


def finish(out: Path, rows: dict[str, list[Row]], card: Row) -> Row:
    """Write the rows, the texts of the training CVEs, the README and, last, the card."""
    texts = {row["cve"][0]: row for row in rows["train"] if "cve" in row}
    (out / "texts").mkdir(exist_ok=True)
    files = {f"{side}.jsonl": rows[side] for side in rows} | {
        TEXTS: [
            {"cve": id, "cwe": texts[id]["cwe"], "description": texts[id]["text"]}
            for id in sorted(texts)
        ]
    }
    sums = {name: _lines(out / name, lines) for name, lines in files.items()}
    card = card | {"dragoman": __version__, "statement": STATEMENT, "terms": TERMS, "files": sums}
    (out / "README.md").write_text(readme(card), "utf-8")
    (out / CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return card


def _lines(path: Path, rows: Iterable[Row]) -> str:
    """Write JSON lines; the SHA-256 of the file."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    data = text.encode("utf-8", "backslashreplace")
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


STATEMENT = (
    "The payloads are inert samples for training and measuring classifiers. Hosts and addresses "
    "are reserved for documentation, local to a machine or inside a network; no command deletes, "
    "overwrites or stops anything; none was ever sent. A payload belongs to the kind of weakness "
    "of its CVE, not to the product: it is no working exploit of it."
)
TERMS = {
    "descriptions": "Of the file they were read from: the CVE Program's terms of use for the CVE "
    "List; NVD asks to be named as the source.",
    "grammar": "Payloads of the grammars: Apache-2.0, as Dragoman.",
    "llm": "Payloads of a language model: also the terms of its provider.",
}


def readme(card: Row) -> str:
    """The data card for people."""
    generator, rows = card["generator"], card["rows"]
    about = [f"- Generator: `{generator['name']}`, seed {card['seed']}"]
    if "model" in generator:
        about.append(
            f"- Model: `{generator['model']}`; {generator['answers']:,} answers, "
            f"{generator['tokens_in']:,} tokens sent, {generator['tokens_out']:,} received; "
            f"prompts `{generator['prompts_sha256'][:12]}`. Benign rows: the grammars"
        )
    about.append(f"- Input: usable CVEs with SHA-256 `{card['input']['cves_sha256']}`")
    about += [f"- Left out of the input: {n:,}, {w}" for w, n in card["input"]["left_out"].items()]
    about += [f"- Rejected payloads: {n:,}, {why}" for why, n in sorted(card["rejected"].items())]
    lines = [_line(label, card) for label in rows]
    return README.format(
        total=sum(sum(by.values()) for by in rows.values()),
        version=card["dragoman"],
        about="\n".join(about),
        lines="\n".join(lines),
        statement=card["statement"],
        terms="\n".join(f"- {text}" for text in card["terms"].values()),
    )


def _line(label: str, card: Row) -> str:
    rows, templates = card["rows"][label], card["templates"][label]
    uses = card["cves"].get(label, {"used": "-", "reused": "-", "most": "-"})
    cells = [label, *rows.values(), " / ".join(map(str, templates.values())), *uses.values()]
    return "| " + " | ".join(map(str, cells)) + " |"


README = """\
# Synthetic benchmark of web payloads

{total:,} rows made by `dragoman synth` {version}: payloads, each paired with the description of a
vulnerability of its class. `train.jsonl`, `valid.jsonl` and `test.jsonl` are labelled payloads,
`texts/` holds the descriptions of the training rows, `rejected.jsonl` what was not taken and why,
`card.json` all figures.

{about}

## Rows

| Class | train | valid | test | Templates (each) | CVEs used | used again | most uses |
|---|---|---|---|---|---|---|---|
{lines}

No CVE, no description and no template (grammar template, or model and prompt variant) is on two
sides, and no two payloads are the same once decoded, lower-cased and with their digits masked.
`group` is the class and the template. Half of the values stand in whole requests, attacks and
benign values alike, built by the same code.

    printf 'name = "synthetic"\\n[grammar]\\nper_class = 0\\n' > synthetic.toml
    dragoman train synthetic.toml --data DIR --out RUN
    dragoman eval payloads DIR/test.jsonl --bundle RUN/bundle

`per_class = 0` matters: without it a recipe adds payloads of all templates of the same grammars,
the test's too. The shipped bundle has learnt from them: what it scores on the rows of a grammar is
no measure of generalisation.

## What it is not

Generated payloads are tidier than real ones, and benign rows are hard values out of a grammar, not
the traffic of a site: false-alarm rates measured here say little about yours. Payload and
description share a class, not a product, so that retrieval of a row's own CVE is chance. A CVE with
several payloads says the same text several times.

## Inert

{statement}

## Terms

{terms}
"""
