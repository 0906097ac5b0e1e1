"""CVE descriptions, each with the one benchmark class its CWE ids name, and their sides."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, TypeVar

from ..config import Limits
from ..duplicates import fold_key
from ..errors import SourceError
from ..intel.read import read_texts
from ..intel.threats import benchmark, by_cwe
from ..opening import Paths
from ..records import Rejected, Text

SIDES = {"train": 0.7, "valid": 0.1, "test": 0.2}  # share of rows, CVEs and templates
KEPT = 1000  # rejected texts that are kept for listing

T = TypeVar("T")


class Cve(NamedTuple):
    """A vulnerability of one benchmark class (``label``)."""

    id: str
    label: str
    cwe: tuple[str, ...]
    text: str

    @property
    def year(self) -> int:
        return int(self.id[4:8])


@dataclass(slots=True)
class Pool:
    """The usable CVEs by class, in order of id, and what became of everything else."""

    by_class: dict[str, list[Cve]]
    digest: str  # SHA-256 of the usable CVEs: the same for the same texts in any container
    left_out: Counter[str] = field(default_factory=Counter)
    rejects: list[Rejected] = field(default_factory=list)  # the first ones; all are counted


def read(paths: Paths, limits: Limits) -> Pool:
    """The CVEs in ``paths`` that name exactly one of the eleven classes by their CWE ids.

    Of CVEs with the same description (digits masked) the one with the lowest id is kept.

    Raises:
        SourceError: a path cannot be read, or it holds no CVE of a benchmark class.
    """
    pool = Pool({slug: [] for slug in benchmark()}, "")
    found: dict[str, Text] = {}
    for item in read_texts(paths, limits=limits):
        if isinstance(item, Rejected):
            pool.left_out["could not be read"] += 1
            if len(pool.rejects) < KEPT:
                pool.rejects.append(item)
        elif item.kind != "cve":
            pool.left_out["not a CVE"] += 1
        elif item.id in found:
            pool.left_out["a CVE id seen before"] += 1
        else:
            found[item.id] = item
    _sort_out(found.values(), pool)
    if not any(pool.by_class.values()):
        raise SourceError(
            "no CVE with a CWE id of a benchmark class",
            where=str(paths),
            hint="NVD or CVE JSON, or JSON lines with cve, cwe and description: docs/formats.md",
        )
    usable = [[c.id, c.label, c.text] for cves in pool.by_class.values() for c in cves]
    pool.digest = hashlib.sha256(json.dumps(usable).encode()).hexdigest()
    return pool


def _sort_out(texts: Iterable[Text], pool: Pool) -> None:
    classes, seen = by_cwe(), set[str]()
    for text in sorted(texts, key=lambda t: _order(t.id)):
        slugs = {classes[cwe] for cwe in text.cwe if cwe in classes}
        key = fold_key(text.body)
        if len(slugs) != 1:
            pool.left_out["CWE ids of two classes" if slugs else "no CWE id of a class"] += 1
        elif key in seen:
            pool.left_out["description of another CVE"] += 1
        else:
            seen.add(key)
            slug = slugs.pop()
            pool.by_class[slug].append(Cve(text.id, slug, text.cwe, text.body))


def _order(id: str) -> tuple[int, int]:
    _, year, number = id.split("-")
    return int(year), int(number)


def require(pool: Pool, where: str) -> None:
    """Every class needs a CVE for each side.

    Raises:
        SourceError: names the classes that have too few CVEs, and how many they have.
    """
    few = {slug: len(cves) for slug, cves in pool.by_class.items() if len(cves) < len(SIDES)}
    if few:
        raise SourceError(
            "too few CVEs of " + ", ".join(f"{slug} ({n})" for slug, n in few.items()),
            where=where,
            hint=f"each class needs {len(SIDES)}: one for training, validation and test each",
        )


def cut(items: Sequence[T], rng: Random) -> dict[str, list[T]]:
    """``items``, shuffled, on the three sides in the shares of :data:`SIDES`, none left empty."""
    shuffled = rng.sample(items, len(items))
    sizes = sizes_of(len(items))
    out, start = {}, 0
    for side in SIDES:
        out[side] = shuffled[start : start + sizes[side]]
        start += sizes[side]
    return out


def sizes_of(n: int) -> dict[str, int]:
    """How many of ``n`` (at least 3) go to each side."""
    sizes = {side: max(1, round(share * n)) for side, share in SIDES.items()}
    return sizes | {"train": n - sizes["valid"] - sizes["test"]}
