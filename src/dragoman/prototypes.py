"""Prototypes: what the payload tower makes of the code written into the text of a user's class.

The attack score knows the classes it was trained on. A class that is added as text is known by its
vector in the text space, and by its prototypes: the payload tower applied to the code in its looks.
An instance matches a prototype if it is closer to it, by a margin, than anything known to be
something else:

    nearest = highest cosine of the prototype to a benign reference vector of the bundle, or to the
              looks of the built-in threats of another name
    needed  = nearest + MARGIN * (1 - nearest)
    score   = t + (1 - t) * (cosine - needed) / (1 - needed)      t: the bundle's threshold

So a match scores from ``t`` (just close enough) to 1 (the very words of the look), and is held
against the threshold of the scan like any attack score. Below ``needed`` a prototype says nothing:
vectors of one tower lie closer together than those of two, so their cosines do not compare.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle
from .config import Limits
from .encode import PayloadEncoder, Vectors
from .prepare.fields import split
from .prepare.instances import instances_of
from .records import Payload, Text, Where

MARGIN = 0.25  # of the way from the nearest other thing to the prototype itself
_SHORTEST = 4  # characters of a fragment
_CODED = re.compile(r"[^\w\s.,:;!?'-]|(?<!\w)'|'(?!\w)")  # syntax, not an apostrophe in a word
_TICKED = re.compile(r"`+([^`]+)`+")
_QUOTED = re.compile(r"\"([^\"]+)\"|(?<!\w)'([^']+)'(?!\w)")


class Match(NamedTuple):
    """An instance close enough to a prototype of class ``owner``; ``score`` in [threshold, 1]."""

    owner: int
    similarity: float
    score: float


class Prototypes(NamedTuple):
    """Prototype vectors (P, 384), the cosine each needs (P,), the class each stands for (P,)."""

    vectors: Vectors
    needed: Vectors
    owners: NDArray[np.intp]
    threshold: float

    def matches(self, vectors: Vectors) -> dict[int, Match]:
        """The best match of each row of ``vectors`` (n, 384) that has one."""
        cosine = vectors @ self.vectors.T
        over = (cosine - self.needed) / (1 - self.needed)
        best = over.argmax(1)
        out = {}
        for row in np.flatnonzero(over[np.arange(len(over)), best] >= 0).tolist():
            which = best[row]
            score = self.threshold + (1 - self.threshold) * min(float(over[row, which]), 1.0)
            out[row] = Match(int(self.owners[which]), float(cosine[row, which]), score)
        return out


def prototypes(
    own: dict[int, Text],
    known: Sequence[Text],
    bundle: Bundle,
    encoder: PayloadEncoder,
    limits: Limits,
) -> Prototypes | None:
    """Prototypes of the user's classes ``own`` (by number of class); None if no look holds code.

    ``known`` are the built-in threats, from whose looks a prototype must keep its distance unless
    the user's class has taken the place of the threat (the same slug).
    """
    owners, found = _instances(own, limits)
    if not found:
        return None
    vectors = encoder.encode(found)[0]
    threats, looks = _instances(dict(enumerate(known)), limits)
    apart = encoder.encode(looks)[0] if looks else np.zeros((0, vectors.shape[1]), np.float32)
    cosine = vectors @ apart.T
    names = np.array([known[i].slug or "" for i in threats], object)
    for row, owner in enumerate(owners):
        cosine[row, names == own[owner].slug] = -1
    nearest = np.concatenate([vectors @ bundle.benign.T, cosine], axis=1).max(1, initial=0)
    needed = np.minimum(nearest + MARGIN * (1 - nearest), 1 - 1e-3)
    return Prototypes(vectors, needed, np.array(owners, np.intp), bundle.threshold)


def _instances(texts: dict[int, Text], limits: Limits) -> tuple[list[int], list[bytes]]:
    """Every distinct instance in the looks of each text, with the number of the text."""
    pairs = {
        (number, data)
        for number, text in texts.items()
        for look in text.looks
        for fragment in fragments(look)
        for data in _read(fragment, limits)
    }
    ordered = sorted(pairs)
    return [number for number, _ in ordered], [data for _, data in ordered]


def _read(fragment: str, limits: Limits) -> Iterable[bytes]:
    value = Payload("", fragment.encode("utf-8", "replace"), "value", Where(""))
    for field in split(value, limits).fields:
        yield from instances_of(field, limits)


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
