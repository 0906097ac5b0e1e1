"""What findings are named after and compared with: the shipped intelligence, and the user's own.

A class of the user stands beside the shipped ones, or in the place of the one with the same slug.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle, load_tensors
from .encode import Vectors
from .errors import BundleError
from .index import Index
from .intel.threats import builtin
from .places import Places, asked, build
from .prototypes import Prototypes, prototypes
from .records import Field, Hit, Text

_COSINE = 0.5  # what the kind of attack counts for in ranking; the rest is for the place
_TOGETHER = 64  # records ranked at once: one matrix product, 8 MB of scores for 30,000 texts


class Knowledge:
    """The index, the classes and the place words of a bundle, joined with the user's own.

    ``kinds`` are the kinds of text that a finding lists as nearest.
    """

    def __init__(self, bundle: Bundle, own: Index | None, kinds: tuple[str, ...]) -> None:
        self._bundle, self._own, self._kinds = bundle, own, kinds
        self._added = own.texts() if own else []

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

    def closeness(self, vectors: Vectors, places: Sequence[list[Field]]) -> Vectors:
        """How close each text of ``near_rows`` is to each record, (n, len(near_rows)).

        Half is the cosine to the record's vector of ``vectors`` (n, 384), half the place words that
        its fields share with the text.
        """
        out = _COSINE * self.index.cosines(vectors, self.near_rows)
        for row, fields in zip(out, places, strict=True):
            words = asked(fields)
            for table, at in self._places:
                known = at >= 0
                row[at[known]] += (1 - _COSINE) * table.scores(words)[known]
        return out

    def nearest(
        self, vectors: Vectors, places: Sequence[list[Field]], k: int
    ) -> Iterator[tuple[Hit, ...]]:
        """The ``k`` closest texts to each record, best first."""
        for start in range(0, len(vectors), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            for score in self.closeness(vectors[part], places[part]):
                least = np.partition(score, -k)[-k] if 0 < k < len(score) else -np.inf
                among = np.flatnonzero(score >= least)
                best = among[np.argsort(-score[among], kind="stable")[:k]]
                yield tuple(self.index.hit(int(self.near_rows[i]), float(score[i])) for i in best)

    @cached_property
    def _places(self) -> list[tuple[Places, NDArray[np.intp]]]:
        """Place words of the shipped and of the user's texts, and their positions in ``near_rows``.

        A shipped text that one of the user's has replaced is at -1.
        """
        names = list(self.index.ids)
        position = {names[row]: at for at, row in enumerate(self.near_rows)}
        own = {t.id: t for t in self._added if t.kind in self._kinds}
        out = []
        shipped = self._shipped_places()
        if shipped:
            ids = np.array(list(self._shipped.ids), object)[self._shipped.rows_of(["cve"])]
            if len(ids) != shipped.n:
                raise BundleError("place words do not fit the index", where=str(self._bundle.path))
            at = [-1 if i in own else position.get(i, -1) for i in ids]
            out.append((shipped, np.array(at, np.intp)))
        if own:
            places = Places(build(list(own.values()), shipped))
            out.append((places, np.array([position[i] for i in own], np.intp)))
        return out

    def _shipped_places(self) -> Places | None:
        path = self._bundle.path / "index" / "places.safetensors"
        return Places(load_tensors(path)) if path.exists() else None
