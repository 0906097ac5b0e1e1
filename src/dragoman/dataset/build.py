"""The synthetic benchmark: CVE descriptions paired with generated payloads, on three sides.

No CVE, no description, no template and no near-duplicate of a payload stands on two sides. Every
attack class has the same number of rows on each side; benign rows come beside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

from ..config import Limits
from ..duplicates import decoded, fold_key
from ..errors import SourceError, UsageError
from ..intel.threats import benchmark
from ..opening import Paths
from ..synth.grammar import Sample
from ..synth.mutate import encode_chain
from ..synth.request import embed
from . import write
from .checks import fault, leak
from .cves import SIDES, Cve, Pool, cut, read, require, sizes_of
from .grammar import Draft, FromGrammar, Generator

FEWEST = 10  # rows of a class
WHOLE = 0.5  # share of values put into a whole request
ENCODED = 0.1  # share of the others that are sent in up to three transport encodings

OnStep = Callable[[str, int, int], object]  # class, rows so far, rows of all sides


@dataclass(slots=True)
class _Book:
    """Rows by side and what was rejected; ``keys`` are those of every payload taken."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {s: [] for s in SIDES})
    rejected: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    def reject(self, sample: Sample, cve: Cve | None, why: str) -> None:
        self.rejected.append(
            {"reason": why}
            | write.payload_of(sample.payload)
            | {"label": sample.label, "group": f"{sample.label}/{sample.template}"}
            | ({"cve": [cve.id]} if cve else {})
        )


def build(
    cves: Paths,
    out: Path,
    *,
    per_class: int = 1000,
    benign: int | None = None,
    seed: int = 0,
    generator: Generator | None = None,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    on_step: OnStep = lambda *_: None,
) -> dict[str, Any]:
    """Write a benchmark into ``out`` (``docs/formats.md``) and return its card.

    Args:
        cves: files of vulnerabilities, in any format ``dragoman intel add`` reads.
        per_class: rows of each of the eleven classes; at least 10.
        benign: benign rows; as many as a class has if not given.
        generator: where payloads come from; the grammars if not given.

    The same input, seed and generator give the same bytes; ``llm`` does so from its journal.

    Raises:
        UsageError: too few rows asked for, or ``out`` holds other files or a finished benchmark.
        SourceError: the CVEs cannot be read, a class has too few of them, or the generator ends
            before a class is full; then ``rejected.jsonl`` is there and says why.
    """
    benign = per_class if benign is None else benign
    if min(per_class, benign) < FEWEST:
        raise UsageError(f"at least {FEWEST} rows of each class, benign ones too")
    write.prepare(out)
    pool = read(cves, limits)
    require(pool, str(cves))
    generator = generator or FromGrammar(seed)
    book = _Book()
    try:
        for slug in (*benchmark(), "benign"):
            count = benign if slug == "benign" else per_class
            _fill_class(book, pool, slug, count, seed, generator, on_step)
    finally:
        write.rejected(out, book.rejected, pool.rejects)
    card = _card(book, pool, per_class, seed, generator)
    return write.finish(out, book.rows, card)


def _fill_class(
    book: _Book, pool: Pool, slug: str, count: int, seed: int, generator: Generator, step: OnStep
) -> None:
    known = pool.by_class.get(slug, [])
    sides = cut(known, Random(f"{seed}/{slug}/cves")) if known else {side: [] for side in SIDES}
    done = 0
    for side, size in sizes_of(count).items():
        for row in _rows(book, slug, side, sides[side], size, seed, generator):
            book.rows[side].append({"id": f"{slug}/{side}/{len(book.rows[side])}"} | row)
            done += 1
            step(slug, done, count)


def _rows(
    book: _Book,
    slug: str,
    side: str,
    cves: Sequence[Cve],
    size: int,
    seed: int,
    generator: Generator,
) -> Iterator[dict[str, Any]]:
    """``size`` rows of a class on one side; CVEs are used again only once all were used."""
    rng = Random(f"{seed}/{slug}/{side}/requests")
    turns, taken = cycle(cves), 0
    more = generator.start(slug, side, cves, book.reject)
    while taken < size:
        drafts = more(size - taken)
        if not drafts:
            raise SourceError(
                f"the generator ended after {taken:,} of {size:,} payloads of {slug} for {side}",
                hint=f"rejected.jsonl says what was wrong with {len(book.rejected):,}; "
                "ask for fewer rows of a class, or another model",
            )
        for draft in drafts[: size - taken]:
            if row := _row(book, draft, rng):
                taken += 1
                yield row | _about(draft.cve or next(turns, None))


def _row(book: _Book, draft: Draft, rng: Random) -> dict[str, Any] | None:
    """The payload in its context, or None if it was rejected."""
    sample = draft.sample
    attack = sample.label != "benign"
    keys = {fold_key(data, sample.kind) for data in (sample.payload, draft.plain or sample.payload)}
    why = fault(sample.payload) if attack else None
    if not why and not book.keys.isdisjoint(keys):
        why = "near-duplicate of a payload taken"
    data, kind = _placed(sample, rng)
    if not why and attack and (word := leak(decoded(data))):
        why = f"names what it is: {word!r}"
    if why:
        book.reject(sample, draft.cve, why)
        return None
    book.keys |= keys
    group = f"{sample.label}/{sample.template}"
    return write.payload_of(data) | {"kind": kind, "label": sample.label, "group": group}


def _placed(sample: Sample, rng: Random) -> tuple[bytes, str]:
    """Half of the values in a whole request, as their place needs it; of the rest some encoded."""
    if sample.kind == "http" or rng.random() < WHOLE:
        return embed(sample, rng), "http"
    encoded = rng.random() < ENCODED
    return encode_chain(sample.payload, rng)[0] if encoded else sample.payload, "value"


def _about(cve: Cve | None) -> dict[str, Any]:
    if cve is None:
        return {}
    return {"cve": [cve.id], "cwe": list(cve.cwe), "year": cve.year, "text": cve.text}


def _card(
    book: _Book, pool: Pool, per_class: int, seed: int, generator: Generator
) -> dict[str, Any]:
    labels = (*benchmark(), "benign")
    rows = {label: {s: _of(book.rows[s], label) for s in SIDES} for label in labels}
    return {
        "task": "payloads",
        "generator": {"name": generator.name, **generator.about()},
        "seed": seed,
        "per_class": per_class,
        "input": {
            "cves_sha256": pool.digest,
            "cves": {slug: len(cves) for slug, cves in pool.by_class.items()},
            "left_out": dict(sorted(pool.left_out.items())),
        },
        "rows": {label: {s: len(r) for s, r in by.items()} for label, by in rows.items()},
        "templates": {
            label: {s: len({r["group"] for r in of}) for s, of in by.items()}
            for label, by in rows.items()
        },
        "cves": {
            label: _uses([r for of in by.values() for r in of])
            for label, by in rows.items()
            if label != "benign"
        },
        "rejected": dict(Counter(r["reason"].partition(":")[0] for r in book.rejected)),
    }


def _of(rows: list[dict[str, Any]], label: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["label"] == label]


def _uses(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Distinct CVEs, how many of them have several payloads, and the most payloads of one."""
    uses = Counter(row["cve"][0] for row in rows).values()
    return {"used": len(uses), "reused": sum(n > 1 for n in uses), "most": max(uses)}
