"""Payloads out of the grammars of ``synth``: each side has templates of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from random import Random
from typing import Any, NamedTuple, Protocol

from ..synth.grammar import Sample, generate, load
from ..synth.mutate import mutate
from .cves import Cve, cut

MUTATED = 0.3  # share of attack values rewritten by an evasion of their class


class Draft(NamedTuple):
    """A payload that is not checked yet; ``cve`` is None where any CVE of the class will do."""

    sample: Sample
    cve: Cve | None = None
    plain: bytes | None = None  # what an evasion was applied to


More = Callable[[int], list[Draft]]  # how many are still wanted -> some drafts, [] at the end
Reject = Callable[[Sample, Cve | None, str], object]  # what is wrong with a payload goes here


class Generator(Protocol):
    """Where payloads come from. ``start`` begins a class on one side: its templates, its CVEs."""

    name: str

    def start(self, slug: str, side: str, cves: Sequence[Cve], reject: Reject) -> More: ...

    def about(self) -> dict[str, Any]: ...


class FromGrammar:
    """The generator ``grammar``: offline, the same drafts for the same seed on every machine."""

    name = "grammar"

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def about(self) -> dict[str, Any]:
        """What the card says of this generator."""
        return {}

    def start(self, slug: str, side: str, cves: Sequence[Cve], reject: Reject) -> More:
        """Drafts of class ``slug`` from the templates of ``side``; any CVE goes with any."""
        templates = cut(sorted(load(slug).templates), Random(f"{self._seed}/{slug}/templates"))
        rng = Random(f"{self._seed}/{slug}/{side}/evasions")
        samples = generate(slug, sys.maxsize, self._seed, templates=templates[side])
        return lambda wanted: [_draft(sample, rng) for sample in islice(samples, wanted)]


def _draft(sample: Sample, rng: Random) -> Draft:
    if sample.label == "benign" or sample.kind == "http" or rng.random() >= MUTATED:
        return Draft(sample)
    changed = replace(sample, payload=mutate(sample.payload, sample.label, rng))
    return Draft(changed, plain=sample.payload)
