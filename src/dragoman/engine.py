"""Composition: evidence in, findings out. ``Engine.load()``, ``engine.scan()``, ``engine.explain()``."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from . import bundle as bundles
from .config import Config
from .detect import Scored, Scorer, Verdict, decide
from .encode import TextEncoder, Vectors, payload_encoder, unit
from .errors import IntelError, SourceError, UsageError
from .index import Index
from .intel.read import read_texts
from .intel.store import Store
from .intel.threats import builtin
from .prepare.decode import readings, views
from .records import (
    Counts,
    Evidence,
    Explanation,
    Finding,
    Hit,
    Kind,
    Payload,
    Reading,
    Rejected,
    Text,
    Where,
)
from .scanning import Scan, Source
from .sources import Paths, open_source
from .sources.http import looks_like_request

UNKNOWN = "unknown"
_SHOWN = 400  # characters of evidence quoted in a finding
_PAYLOAD_KINDS = ("cve", "document")


class Engine:
    """A bundle, the intelligence it searches, and the settings it works under."""

    def __init__(self, bundle: bundles.Bundle, store: Store | None, config: Config) -> None:
        self._bundle, self._store, self._config = bundle, store, config
        self.name, self.digest = bundle.name, bundle.digest
        chosen = config.scan.threshold
        self.threshold = bundle.threshold if chosen is None else chosen

    @classmethod
    def load(
        cls,
        bundle: str | Path | None = None,
        *,
        intel: str | Path | None = None,
        config: Config = Config(),  # noqa: B008 (frozen)
    ) -> Engine:
        """Load a bundle (the shipped one by default) and, if a directory is given, your intelligence.

        Raises:
            BundleError, IntelError: the bundle or the intelligence cannot be used.
        """
        store = Store(intel) if intel is not None else None
        return cls(bundles.load(bundle), store, config)

    def scan(
        self,
        source: Source,
        *,
        format: str | None = None,
        column: str | None = None,
        strict: bool = False,
    ) -> Scan:
        """Findings in ``source``: a path, ``-``, a glob, a list of them, or payloads.

        Iterate over the result; ``.counts`` tells what was parsed, found, rejected and not covered.

        Raises:
            SourceError: while iterating, if nothing could be parsed, or in strict mode.
        """
        return Scan(self, self._open(source, format, column, strict), self._config)

    def explain(self, payload: bytes | str, *, kind: Kind | None = None) -> Explanation:
        """Everything about one payload: fields, decoded views, every class, the nearest texts."""
        data = payload.encode("utf-8", "surrogateescape") if isinstance(payload, str) else payload
        if len(data) > self._config.limits.record_bytes:
            raise UsageError(
                f"the payload has {len(data)} bytes, more than limits.record_bytes",
                hint="raise the limit in a settings file (--config)",
            )
        kind = kind or ("http" if looks_like_request(data) else "value")
        record = Payload("payload", data, kind, Where("payload"))
        scored = self._scorer.score([record])[0]
        verdict = self._decide(scored)
        return Explanation(
            finding=self._finding(record, scored) if scored.score >= self.threshold else None,
            score=scored.score,
            threshold=self.threshold,
            readings=tuple(
                Reading(
                    f.name,
                    (f.start, f.end),
                    f.value.decode("utf-8", "backslashreplace"),
                    views(f.value, f.start, f.end, self._config.limits),
                    float(1 / (1 + np.exp(-logit))),
                )
                for f, logit in zip(scored.fields, scored.logits, strict=True)
            ),
            classes=() if verdict is None else self._class_hits(verdict, len(verdict.order)),
            nearest=() if scored.vector is None else self._nearest(scored.vector, 10),
        )

    def search(self, text: str, *, k: int = 10) -> list[Hit]:
        """The ``k`` texts of the intelligence nearest to a text in any words."""
        if not text.strip():
            raise UsageError("nothing to search for")
        return self._index.search(self._texts.encode([text]), k)[0]

    def add_intel(self, paths: Paths, *, as_class: bool = False) -> list[Text]:
        """Read, encode and keep intelligence; with ``as_class`` each file describes one threat class.

        Raises:
            IntelError: no directory for intelligence was given, or a file holds no usable text.
        """
        store = self._own()
        texts: dict[str, Text] = {}
        rejected: list[Rejected] = []
        for item in read_texts(paths, limits=self._config.limits, as_class=as_class):
            if isinstance(item, Rejected):
                rejected.append(item)
            else:
                texts[item.id] = item
        if not texts:
            why = f": {rejected[0].reason}" if rejected else ""
            raise IntelError(f"no usable text{why}", where=str(paths))
        kept = list(texts.values())
        store.add(kept, self._vectors_of(kept), self._bundle.space)
        self._reset()
        return kept

    def list_intel(self) -> list[Text]:
        """The texts you added, in order of id."""
        return self._own().texts()

    def remove_intel(self, ids: Iterable[str]) -> int:
        """Remove texts you added; returns how many there were."""
        count = self._own().remove(ids)
        self._reset()
        return count

    def evaluate(self, paths: Paths) -> dict[str, Any]:
        """Measure the bundle on labelled payloads; the JSON of ``eval payloads``."""
        from .measure import payloads

        return payloads(self, paths)

    def info(self) -> dict[str, Any]:
        """What is loaded: bundle, thresholds, classes, intelligence, limits, model card."""
        kinds: dict[str, int] = {}
        for text in self._index.texts():
            kinds[text.kind] = kinds.get(text.kind, 0) + 1
        return {
            "bundle": {
                "name": self.name,
                "digest": self.digest,
                "space": self._bundle.space,
                "tower": self._bundle.tower,
                "path": str(self._bundle.path),
            },
            "threshold": self.threshold,
            "known": self._bundle.known,
            "classes": [c.slug for c in self._classes[0]],
            "intelligence": {"version": self.intel_version, "texts": kinds},
            "card": self._bundle.card,
        }

    # --- parts

    @cached_property
    def _scorer(self) -> Scorer:
        return Scorer(payload_encoder(self._bundle), self._config.limits)

    @cached_property
    def _texts(self) -> TextEncoder:
        return TextEncoder(self._bundle.path, self._bundle.mean)

    @cached_property
    def _index(self) -> Index:
        shipped = Index.load(self._bundle.path / "index", model=self._bundle.space)
        own = self._store.index(self._bundle.space) if self._store else None
        return shipped.merge(own) if own else shipped

    @cached_property
    def intel_version(self) -> str:
        """Twelve hex digits that change when the shipped or your own intelligence does."""
        return self._index.version

    @cached_property
    def _classes(self) -> tuple[list[Text], Vectors]:
        """Every class a finding can be named after, with its vectors: shipped ones, then your own."""
        known = {t.slug: t for t in builtin()}
        texts = [
            known.get(c.slug)
            or Text(c.id, c.title, "", "bundle", "class", slug=c.slug, severity=c.severity)
            for c in self._bundle.classes
        ]
        own = [t for t in self._store.texts() if t.kind == "class"] if self._store else []
        if not own:
            return texts, self._bundle.class_vectors
        vectors = self._index.vectors_of(t.id for t in own)
        return texts + own, np.concatenate([self._bundle.class_vectors, vectors])

    def _own(self) -> Store:
        if self._store is None:
            raise IntelError("no directory for your intelligence", hint="Engine.load(intel=DIR)")
        return self._store

    def _reset(self) -> None:
        for name in ("_index", "_classes", "intel_version"):
            self.__dict__.pop(name, None)

    def _vectors_of(self, texts: list[Text]) -> Vectors:
        """One vector a text; a class is the mean of its description and of each look."""
        parts = [[f"{t.title}. {t.body}", *t.looks] for t in texts]
        flat = self._texts.encode([p for group in parts for p in group])
        ends = np.cumsum([len(group) for group in parts])
        return unit(np.stack([v.mean(0) for v in np.split(flat, ends[:-1])]))

    # --- from scores to findings

    def _open(
        self, source: Source, format: str | None, column: str | None, strict: bool
    ) -> Iterable[Payload | Rejected]:
        if isinstance(source, (str, Path)):
            source = [source]
        items = list(source) if isinstance(source, (list, tuple)) else source
        if isinstance(items, list) and items and all(isinstance(i, (str, Path)) for i in items):
            return open_source(
                items, format=format, column=column, limits=self._config.limits, strict=strict
            )
        return items  # type: ignore[return-value]

    def _examine(self, payloads: list[Payload]) -> tuple[list[Finding], int]:
        """Findings among payloads, and how many payloads were not fully covered."""
        scored = self._scorer.score(payloads)
        found = [
            self._finding(p, s)
            for p, s in zip(payloads, scored, strict=True)
            if s.vector is not None and s.score >= self.threshold
        ]
        return found, sum(not s.covered for s in scored)

    def _decide(self, scored: Scored) -> Verdict | None:
        if scored.vector is None:
            return None
        return decide(scored.vector, self._classes[1], self._bundle.known)

    def _finding(self, payload: Payload, scored: Scored) -> Finding:
        assert scored.vector is not None  # noqa: S101 (a score above any threshold had an instance)
        verdict = self._decide(scored)
        assert verdict is not None  # noqa: S101
        text = None if verdict.named is None else self._classes[0][verdict.named]
        hits = self._class_hits(verdict, self._config.scan.runner_ups + 1)
        return Finding(
            family="payloads",
            record=payload.id,
            where=payload.where,
            verdict=(text.slug or UNKNOWN) if text else UNKNOWN,
            name=text.title if text else "Attack near no known class",
            score=scored.score,
            threshold=self.threshold,
            severity=text.severity if text else "medium",
            evidence=self._evidence(scored),
            nearest=self._nearest(scored.vector, self._config.scan.nearest),
            runner_ups=hits[1:] if text else hits[:-1],
            bundle=self.digest,
            intel_version=self.intel_version,
            time=payload.time,
            host=payload.host,
        )

    def _evidence(self, scored: Scored) -> tuple[Evidence, ...]:
        """The deciding field, then others that would be a finding on their own."""
        cut = np.log(self.threshold / (1 - self.threshold)) if 0 < self.threshold < 1 else 0.0
        out: dict[tuple[int, int], Evidence] = {}
        for field, logit in zip(scored.fields, scored.logits, strict=True):
            if out and logit < cut:
                break
            data, chain = readings(field.value, self._config.limits)[-1]
            text = data[:_SHOWN].decode("utf-8", "backslashreplace")
            span = (field.start, field.end)
            out.setdefault(span, Evidence(field.name, text, span, chain))
        return tuple(out.values())[:4]

    def _class_hits(self, verdict: Verdict, k: int) -> tuple[Hit, ...]:
        texts = self._classes[0]
        return tuple(
            Hit(texts[i].id, texts[i].title, texts[i].source, float(verdict.similarity[i]))
            for i in verdict.order[:k]
        )

    def _nearest(self, vector: Vectors, k: int) -> tuple[Hit, ...]:
        return tuple(self._index.search(vector[None], k, kinds=_PAYLOAD_KINDS)[0])
