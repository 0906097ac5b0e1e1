"""Prototypes: how the code looks that a user's class describes.

The towers know the classes they were trained on: what is none of them still lands near one. So a
class added as text has, beside its vector in the text space, prototypes: the hashed n-grams
(`features.py`) of the code in its looks that occur in no look of a built-in threat. An instance
matches by the share of such n-grams among all its n-grams that are not common to the built-in
looks:

    share = n-grams of the class / n-grams that are not common      at least LEAST of the former
    score = t + (1 - t) * (share - NEEDED) / (1 - NEEDED)           t: the bundle's threshold

So a match scores from ``t`` (just enough) to 1 (the very words of a look), and is held against the
threshold of the scan like any attack score. Below ``NEEDED`` the prototypes say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle
from .features import Grams, Ids, features
from .prepare.fields import split
from .prepare.instances import instances_of
from .records import Payload, Text, Where

NEEDED = 0.3  # share of an instance's own n-grams that a class must explain
LEAST = 10  # n-grams of the class an instance must hold
_SHORTEST = 4  # characters of a fragment
_CODED = re.compile(r"[^\w\s.,:;!?'-]|(?<!\w)'|'(?!\w)")  # syntax, not an apostrophe in a word
_TICKED = re.compile(r"`+([^`]+)`+")
_QUOTED = re.compile(r"\"([^\"]+)\"|(?<!\w)'([^']+)'(?!\w)")


class Match(NamedTuple):
    """An instance explained by the prototypes of class ``owner``; ``score`` in [threshold, 1]."""

    owner: int
    similarity: float
    score: float


class Prototypes(NamedTuple):
    """Sorted n-gram ids of each class, and those common to the built-in looks."""

    classes: dict[int, Ids]
    common: Ids
    grams: Grams
    threshold: float

    def matches(self, instances: Sequence[bytes]) -> dict[int, Match]:
        """The best match of each instance that has one, by its place in ``instances``."""
        ids, offsets = features(instances, self.grams)
        owner = np.repeat(np.arange(len(instances)), np.diff(offsets))
        own = np.bincount(owner[~_among(ids, self.common)], minlength=len(instances))
        out: dict[int, Match] = {}
        for number, theirs in self.classes.items():
            held = np.bincount(owner[_among(ids, theirs)], minlength=len(instances))
            share = held / np.maximum(own, 1)
            for row in np.flatnonzero((share >= NEEDED) & (held >= LEAST)).tolist():
                if row not in out or share[row] > out[row].similarity:
                    over = (share[row] - NEEDED) / (1 - NEEDED)
                    score = self.threshold + (1 - self.threshold) * float(over)
                    out[row] = Match(number, float(share[row]), score)
        return out


def _among(ids: Ids, wanted: Ids) -> NDArray[np.bool_]:
    """Which of ``ids`` are in ``wanted``, which is sorted."""
    if not len(wanted):
        return np.zeros(len(ids), bool)
    at = np.searchsorted(wanted, ids).clip(max=len(wanted) - 1)
    return np.asarray(wanted[at] == ids, bool)


def prototypes(own: dict[int, Text], known: Sequence[Text], bundle: Bundle) -> Prototypes | None:
    """Prototypes of the user's classes ``own`` (by number of class); None if no look holds code.

    ``known`` are the built-in threats, whose looks say what is common; a threat whose place a
    user's class has taken (the same slug) does not count.
    """
    taken = {text.slug for text in own.values()}
    looks = _instances(text for text in known if text.slug not in taken)
    common = np.unique(features(looks, bundle.grams)[0])
    classes = {}
    for number, text in own.items():
        ids = np.unique(features(_instances([text]), bundle.grams)[0])
        if len(rare := ids[~_among(ids, common)]):
            classes[number] = rare
    return Prototypes(classes, common, bundle.grams, bundle.threshold) if classes else None


def _instances(texts: Iterable[Text]) -> list[bytes]:
    """Every distinct instance in the looks of some texts."""
    found = {
        data
        for text in texts
        for look in text.looks
        for fragment in fragments(look)
        for data in _read(fragment)
    }
    return sorted(found)


def _read(fragment: str) -> Iterable[bytes]:
    value = Payload("", fragment.encode("utf-8", "replace"), "value", Where(""))
    for field in split(value).fields:
        yield from instances_of(field)


def fragments(look: str) -> list[str]:
    """The code in a look: what stands between backticks.

    Without backticks: the whole look if it holds syntax, what it quotes, and its runs of words with
    syntax in them.
    """
    pieces = _TICKED.findall(look)
    if not pieces:
        quoted = [a or b for a, b in _QUOTED.findall(look)]
        words = groupby(look.split(), lambda word: _CODED.search(word) is not None)
        pieces = [look, *quoted, *(" ".join(run) for coded, run in words if coded)]
    stripped = (piece.strip().rstrip(".,:;") for piece in pieces)
    return [p for p in dict.fromkeys(stripped) if len(p) >= _SHORTEST and _CODED.search(p)]
