"""What findings are named after and compared with: the shipped intelligence, and the user's own.

A class of the user stands beside the shipped ones, or in the place of the one with the same slug.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle, load_tensors
from .encode import Vectors
from .errors import BundleError
from .index import Index
from .intel.threats import builtin
from .places import Arrays, Places, build
from .prototypes import Prototypes, prototypes
from .records import Hit, Text

_COSINE = 0.5  # what the kind of attack counts for in ranking; the rest is for the place
_TOGETHER = 64  # records ranked at once: one matrix product, 8 MB of scores for 30,000 texts
_REMEMBERED = 4_096  # records whose nearest texts are kept


class Knowledge:
    """The index, the classes and the place words of a bundle, joined with the user's own.

    ``kinds`` are the kinds of text that a finding lists as nearest.
    """

    def __init__(self, bundle: Bundle, own: Index | None, kinds: tuple[str, ...]) -> None:
        self._bundle, self._own, self._kinds = bundle, own, kinds
        self._added = own.texts() if own else []
        self._ranked: dict[tuple[bytes, tuple[str, ...], int], tuple[Hit, ...]] = {}

    @cached_property
    def _shipped(self) -> Index:
        return Index.load(self._bundle.path / "index", model=self._bundle.space)

    @cached_property
    def index(self) -> Index:
        """Every text; one of the user's replaces the shipped one with its id."""
        return self._shipped.merge(self._own) if self._own else self._shipped

    # --- classes

    @cached_property
    def classes(self) -> list[Text]:
        """Every class a finding can be named after, in the order of ``class_vectors``."""
        own = {t.slug: t for t in self._added if t.kind == "class"}
        known = {t.slug: t for t in builtin()} | own
        shipped = [
            known.get(c.slug)
            or Text(c.id, c.title, "", "bundle", "class", slug=c.slug, severity=c.severity)
            for c in self._bundle.classes
        ]
        taken = {t.slug for t in shipped}
        return shipped + [t for slug, t in own.items() if slug not in taken]

    @cached_property
    def own_classes(self) -> dict[int, Text]:
        """The user's classes among ``classes``, by number."""
        added = {id(t) for t in self._added}
        return {i: t for i, t in enumerate(self.classes) if id(t) in added}

    @cached_property
    def class_vectors(self) -> Vectors:
        """Unit vectors (C, 384). A class that took a shipped one's name keeps the shipped vector.

        It is the one the payload tower was aligned to; the user's text is searched all the same.
        """
        shipped = self._bundle.class_vectors
        out = np.zeros((len(self.classes), shipped.shape[1]), np.float32)
        out[: len(shipped)] = shipped
        if self._own:
            numbers = [i for i in self.own_classes if i >= len(shipped)]
            out[numbers] = self._own.vectors_of(self.classes[i].id for i in numbers)
        return out

    def prototypes(self) -> Prototypes | None:
        """Prototypes of the user's classes; None if there are none."""
        if not self.own_classes:
            return None
        return prototypes(self.own_classes, builtin(), self._bundle)

    # --- nearest texts

    @cached_property
    def near_rows(self) -> NDArray[np.intp]:
        """Rows of ``index`` that can be listed as nearest."""
        return self.index.rows_of(self._kinds)

    def closeness(self, vectors: Vectors, words: Sequence[Sequence[str]]) -> Vectors:
        """How close each text of ``near_rows`` is to each record, (n, len(near_rows)).

        Half is the cosine to the record's vector of ``vectors`` (n, 384), half the place words of
        the record (`places.asked`) that the text shares.
        """
        distinct, which = _distinct(vectors)
        cosines = self.index.cosines(_COSINE * vectors[distinct], self.near_rows)
        out = cosines if len(distinct) == len(vectors) else cosines[which]
        for row, asked in zip(out, words, strict=True):
            for table in self._places:
                row += (1 - _COSINE) * table.scores(asked)
        return out

    def nearest(
        self, vectors: Vectors, words: Sequence[Sequence[str]], k: int
    ) -> list[tuple[Hit, ...]]:
        """The ``k`` closest texts to each record, best first. Records ranked lately are not again.

        Scanners repeat themselves: one attack, place after place, and round after round.
        """
        keys = [(v.tobytes(), tuple(w), k) for v, w in zip(vectors, words, strict=True)]
        if len(self._ranked) > _REMEMBERED:
            self._ranked.clear()
        fresh = list({key: row for row, key in enumerate(keys) if key not in self._ranked}.values())
        for start in range(0, len(fresh), _TOGETHER):
            some = fresh[start : start + _TOGETHER]
            close = self.closeness(vectors[some], [words[row] for row in some])
            for row, score in zip(some, close, strict=True):
                self._ranked[keys[row]] = self._best(score, k)
        return [self._ranked[key] for key in keys]

    def _best(self, score: Vectors, k: int) -> tuple[Hit, ...]:
        least = np.partition(score, -k)[-k] if 0 < k < len(score) else -np.inf
        among = np.flatnonzero(score >= least)
        best = among[np.argsort(-score[among], kind="stable")[:k]]
        return tuple(self.index.hit(int(self.near_rows[i]), float(score[i])) for i in best)

    @cached_property
    def _places(self) -> list[Places]:
        """Place words of the shipped and of the user's texts, scored at their ``near_rows``.

        A shipped text that one of the user's has replaced is left out.
        """
        names = list(self.index.ids)
        size = len(self.near_rows)
        position = {names[row]: at for at, row in enumerate(self.near_rows)}
        own = {t.id: t for t in self._added if t.kind in self._kinds}
        out = []
        arrays = self._shipped_places()
        shipped = Places(arrays) if arrays else None
        if arrays and shipped:
            ids = np.array(list(self._shipped.ids), object)[self._shipped.rows_of(["cve"])]
            if len(ids) != shipped.n:
                raise BundleError("place words do not fit the index", where=str(self._bundle.path))
            at = [-1 if i in own else position.get(i, -1) for i in ids]
            out.append(Places(arrays, np.array(at, np.intp), size))
        if own:
            at = [position[i] for i in own]
            out.append(Places(build(list(own.values()), shipped), np.array(at, np.intp), size))
        return out

    def _shipped_places(self) -> Arrays | None:
        path = self._bundle.path / "index" / "places.safetensors"
        return load_tensors(path) if path.exists() else None


def _distinct(vectors: Vectors) -> tuple[list[int], list[int]]:
    """Rows (m,) that differ, and for each row (n,) which of them it equals."""
    seen: dict[bytes, int] = {}
    rows: list[int] = []
    which = []
    for row, vector in enumerate(vectors):
        at = seen.setdefault(vector.tobytes(), len(rows))
        if at == len(rows):
            rows.append(row)
        which.append(at)
    return rows, which
