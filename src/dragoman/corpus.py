"""Training rows made ready: texts with their classes, payloads as bags of hashed features.

The training directory holds ``train*.jsonl[.gz]`` and ``valid*.jsonl[.gz]`` (labelled payloads)
and, in ``texts/``, vulnerability texts in any format `dragoman intel add` reads.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .config import Limits
from .errors import SourceError, UsageError
from .features import Grams, features
from .intel.read import read_texts
from .intel.threats import benchmark, builtin
from .prepare.fields import split
from .prepare.instances import instances_of
from .recipe import Grammar, Recipe
from .records import Field, Labelled, Payload, Rejected, Text, Where
from .sources.labelled import read_labelled
from .synth.grammar import generate
from .synth.mutate import mutate
from .synth.pad import pad
from .synth.request import embed

BENIGN, ATTACK = -1, -2  # labels beside the class numbers

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled records as bags: ``bags[i]`` are instance numbers, ``labels[i]`` a class or < 0."""

    bags: list[Ints]
    labels: Ints
    whole: NDArray[np.bool_]  # a whole request, not one value


class Instances:
    """Distinct instances of all rows with their features."""

    def __init__(self, grams: Grams, limits: Limits) -> None:
        self.strings: list[bytes] = []
        self._number: dict[bytes, int] = {}
        self._fields: dict[tuple[str, bytes, str], list[bytes]] = {}
        self._grams, self._limits = grams, limits
        self.ids: NDArray[np.int32] = np.zeros(0, np.int32)
        self.offsets: Ints = np.zeros(1, np.int64)

    def bag(self, payload: Payload) -> Ints:
        """The distinct instance numbers of a record; empty if no field can carry an attack."""
        seen: dict[int, None] = {}
        for field in split(payload, self._limits).fields:
            for text in self._of(field):
                number = self._number.setdefault(text, len(self.strings))
                if number == len(self.strings):
                    self.strings.append(text)
                seen[number] = None
        return np.fromiter(seen, np.int64, len(seen))

    def _of(self, field: Field) -> list[bytes]:
        key = (field.name, field.value, field.script)
        if key not in self._fields:
            self._fields[key] = instances_of(field, self._limits)
        return self._fields[key]

    def finish(self) -> None:
        """Compute the features of every instance."""
        self._fields.clear()
        parts, ends = [], [np.zeros(1, np.int64)]
        for start in range(0, len(self.strings), 4096):
            ids, offsets = features(self.strings[start : start + 4096], self._grams)
            parts.append(ids.astype(np.int32))
            ends.append(offsets[1:] + ends[-1][-1])
        self.ids = np.concatenate(parts) if parts else self.ids
        self.offsets = np.concatenate(ends)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Everything a training run reads."""

    classes: tuple[str, ...]  # slugs; labels of rows count through them
    threats: list[Text]  # all built-in texts
    described: list[Text]  # vulnerability texts
    instances: Instances
    train: Rows
    valid: Rows
    counts: dict[str, int]


def load(recipe: Recipe, data: Path, seed: int, limit: int | None) -> Corpus:
    """Read a training directory and add generated rows.

    Raises:
        SourceError: the directory lacks training or validation rows.
        UsageError: the recipe leaves out a class that is none.
    """
    limits = Limits()
    counts: dict[str, int] = {}
    train = _labelled(data, "train", limit, counts)
    valid = _labelled(data, "valid", limit, counts)
    generated = generate_rows(recipe.grammar, seed, without=recipe.without)
    counts["generated"] = len(generated)
    described = descriptions(data, limit)
    if described:
        counts["texts"] = len(described)
    s = recipe.stage2
    instances = Instances(Grams(s.bits, s.chars, s.tokens, s.skeleton), limits)
    classes = _learnt(recipe.without)
    rows = _rows(train + generated, classes, instances), _rows(valid, classes, instances)
    _usable(*rows, data)
    instances.finish()
    return Corpus(classes, builtin(), described, instances, *rows, counts)


def _learnt(without: Collection[str]) -> tuple[str, ...]:
    """The benchmark classes less those that are left out; rows of these have no usable label."""
    known = benchmark()
    for slug in without:
        if slug not in known:
            raise UsageError(f"without: no class {slug!r}", hint=f"one of {', '.join(known)}")
    return tuple(slug for slug in known if slug not in without)


def _usable(train: Rows, valid: Rows, data: Path) -> None:
    """Without these rows there is nothing to learn, or nothing to set thresholds by."""
    for name, kind, there in (
        ("training", "attack of a benchmark class", train.labels >= 0),
        ("validation", "attack of a benchmark class", valid.labels >= 0),
        ("validation", "benign record", valid.labels == BENIGN),
    ):
        if not there.any():
            raise SourceError(
                f"no readable {kind} among the {name} rows",
                where=str(data),
                hint="a training directory is described in docs/training.md",
            )


def _labelled(data: Path, name: str, limit: int | None, counts: dict[str, int]) -> list[Labelled]:
    paths = sorted(data.glob(f"{name}*.jsonl*"))
    if not paths:
        raise SourceError(
            f"no {name}*.jsonl or {name}*.jsonl.gz here",
            where=str(data),
            hint="a training directory is described in docs/training.md",
        )
    rows = []
    for row in read_labelled(paths):
        key = f"{name} rejected" if isinstance(row, Rejected) else name
        counts[key] = counts.get(key, 0) + 1
        if isinstance(row, Labelled):
            rows.append(row)
    if limit is not None and len(rows) > limit:
        rows = random.Random(0).sample(rows, limit)
    return rows


def descriptions(data: Path, limit: int | None = None) -> list[Text]:
    """The vulnerability texts of a training directory; at most ``limit`` of them."""
    folder = data / "texts"
    if not folder.is_dir():
        return []
    texts = list({t.id: t for t in read_texts([folder]) if isinstance(t, Text)}.values())
    return texts if limit is None else random.Random(0).sample(texts, min(limit, len(texts)))


def generate_rows(settings: Grammar, seed: int, *, without: Collection[str] = ()) -> list[Labelled]:
    """Attacks of the benchmark classes and hard benign values, a share of them in whole requests.

    Attacks and benign values go through the same request builder, so the context tells nothing.
    None of the classes ``without``; the others' rows do not depend on it.
    """
    rows: list[Labelled] = []
    for slug in (*_learnt(without), "benign") if settings.per_class else ():
        count = settings.benign if slug == "benign" else settings.per_class
        rng = random.Random(f"{slug}/{seed}")
        for i, sample in enumerate(generate(slug, count, seed)):
            if slug != "benign" and sample.kind == "value" and rng.random() < settings.mutated:
                sample = replace(sample, payload=mutate(sample.payload, slug, rng))
            if sample.kind == "value" and rng.random() < settings.padded:
                sample = replace(sample, payload=pad(sample.payload, rng))
            whole = sample.kind == "http" or rng.random() < settings.wrapped
            data = embed(sample, rng) if whole else sample.payload
            payload = Payload(
                f"synth/{slug}/{i}", data, "http" if whole else "value", Where("synth")
            )
            rows.append(Labelled(payload, slug, group=sample.template))
    return rows


def _rows(rows: Iterable[Labelled], classes: Sequence[str], instances: Instances) -> Rows:
    """Rows with a usable label; an attack in which nothing can be read teaches nothing."""
    code = {slug: i for i, slug in enumerate(classes)} | {"benign": BENIGN, "attack": ATTACK}
    bags, labels, whole = [], [], []
    for row in rows:
        label = code.get(row.label or "")
        if label is None:
            continue
        bag = instances.bag(row.payload)
        if len(bag):
            bags.append(bag)
            labels.append(label)
            whole.append(row.payload.kind == "http")
    return Rows(bags, np.array(labels, np.int64), np.array(whole, bool))


def grouped(texts: Sequence[Text], threats: Sequence[Text]) -> dict[str, list[Text]]:
    """Vulnerability texts by the built-in threat their first matching CWE belongs to."""
    owner = {cwe: t.id for t in reversed(threats) for cwe in t.cwe}
    out: dict[str, list[Text]] = defaultdict(list)
    for text in texts:
        for cwe in text.cwe:
            if cwe in owner:
                out[owner[cwe]].append(text)
                break
    return dict(out)
