"""Composition: evidence in, findings out. ``Engine.load()``, ``.scan()``, ``.explain()``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import bundle as bundles
from .bundle import DIM, Bundle
from .config import Config, Limits
from .detect import Scored, Scorer, Verdict, decide
from .encode import PayloadEncoder, TextEncoder, Vectors, payload_encoder
from .errors import IntelError, UsageError
from .findings import UNKNOWN, class_hits, evidence, excerpt
from .intel.read import read_texts
from .intel.store import Store
from .knowledge import Knowledge
from .places import asked
from .prepare.decode import views
from .prepare.fields import Split, split
from .records import Explanation, Finding, Hit, Kind, Payload, Reading, Rejected, Text, Where
from .scanning import Scan, Source
from .sources import Paths, open_source
from .sources.http import looks_like_request

_ENCODED = 256  # texts encoded between two calls of ``on_step``
_EXPLAINED = 10  # nearest texts that an explanation lists


class Family(NamedTuple):
    """What sets one family of evidence apart; everything behind the tower is shared."""

    evidence: type[Payload]
    prepare: Callable[[Payload, Limits], Split]
    tower: Callable[[Bundle], PayloadEncoder]
    nearest: tuple[str, ...]  # kinds of text a finding lists as nearest
    nameless: str  # the name of a finding near no class
    severity: str  # and its severity


FAMILIES = {
    "payloads": Family(
        evidence=Payload,
        prepare=split,
        tower=payload_encoder,
        nearest=("cve", "document"),
        nameless="Attack near no known class",
        severity="medium",
    ),
}


class Engine:
    """A bundle, the intelligence it searches, and the settings it works under."""

    def __init__(self, bundle: Bundle, store: Store | None, config: Config) -> None:
        self._bundle, self._store, self._config = bundle, store, config
        self.name, self.digest = bundle.name, bundle.digest
        self._name, self._family = "payloads", FAMILIES["payloads"]
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
        """Load a bundle (the shipped one by default) and, if ``intel`` is given, your intelligence.

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
        near: tuple[Hit, ...] = ()
        finding = None
        if verdict is not None:
            shown = self._config.scan.nearest
            near = self._nearest([(record, scored)], max(shown, _EXPLAINED))[0]
            if scored.score >= self.threshold:
                finding = self._finding(record, scored, near[:shown])
        return Explanation(
            finding=finding,
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
            classes=() if verdict is None else class_hits(self._knowledge, verdict),
            nearest=near,
        )

    def search(self, text: str, *, k: int = 10) -> list[Hit]:
        """The ``k`` texts of the intelligence nearest to a text in any words."""
        if not text.strip():
            raise UsageError("nothing to search for")
        return self._knowledge.index.search(self._texts.encode([text]), k)[0]

    def add_intel(
        self,
        paths: Paths,
        *,
        as_class: bool = False,
        on_reject: Callable[[Rejected], object] | None = None,
        on_step: Callable[[int, int], object] | None = None,
    ) -> list[Text]:
        """Read, encode and keep intelligence; ``as_class``: each file describes one threat class.

        What cannot be used is handed to ``on_reject``, with place and reason; the rest is kept.
        ``on_step`` is told how many texts have been encoded, and of how many.

        Raises:
            IntelError: no directory for intelligence was given, or a file holds no usable text.
        """
        store = self._own()
        texts: dict[str, Text] = {}
        why = ""
        for item in read_texts(paths, limits=self._config.limits, as_class=as_class):
            if isinstance(item, Text):
                texts[item.id] = item
                continue
            why = why or f": {item.reason}"
            if on_reject:
                on_reject(item)
        if not texts:
            raise IntelError(f"no usable text{why}", where=str(paths))
        kept = list(texts.values())
        store.add(kept, self._vectors_of(kept, on_step), self._bundle.space)
        self._reset()
        return kept

    def list_intel(self) -> list[Text]:
        """The texts you added, in order of id."""
        return self._own().texts()

    def remove_intel(self, ids: Iterable[str]) -> int:
        """Remove texts you added; ``*`` in an id is anything. Returns how many there were."""
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
        for text in self._knowledge.index.texts():
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
            "classes": [c.slug for c in self._knowledge.classes],
            "intelligence": {"version": self.intel_version, "texts": kinds},
            "card": self._bundle.card,
        }

    # --- parts

    @cached_property
    def _knowledge(self) -> Knowledge:
        own = self._store.index(self._bundle.space) if self._store else None
        return Knowledge(self._bundle, own, self._family.nearest)

    @cached_property
    def _scorer(self) -> Scorer:
        limits, tower = self._config.limits, self._family.tower(self._bundle)
        prototypes = self._knowledge.prototypes()
        return Scorer(tower, self._family.prepare, limits, prototypes)

    @cached_property
    def _texts(self) -> TextEncoder:
        return TextEncoder(self._bundle.path, self._bundle.mean)

    @property
    def intel_version(self) -> str:
        """Twelve hex digits that change when the shipped or your own intelligence does."""
        return self._knowledge.index.version

    def _own(self) -> Store:
        if self._store is None:
            raise IntelError("no directory for your intelligence", hint="Engine.load(intel=DIR)")
        return self._store

    def _reset(self) -> None:
        for name in ("_knowledge", "_scorer"):
            self.__dict__.pop(name, None)

    def _vectors_of(
        self, texts: list[Text], on_step: Callable[[int, int], object] | None = None
    ) -> Vectors:
        """One vector a text (n, 384): the mean of its description and of each look."""
        parts = []
        for start in range(0, len(texts), _ENCODED):
            some = texts[start : start + _ENCODED]
            parts.append(self._texts.together([[f"{t.title}. {t.body}", *t.looks] for t in some]))
            if on_step:
                on_step(start + len(some), len(texts))
        return np.concatenate(parts)

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
            (payload, one)
            for payload, one in zip(payloads, scored, strict=True)
            if one.parts and one.score >= self.threshold
        ]
        near = self._nearest(found, self._config.scan.nearest)
        findings = [self._finding(*one, hits) for one, hits in zip(found, near, strict=True)]
        return findings, sum(not one.covered for one in scored)

    def _warm(self) -> None:
        """Unpack now what every process of a scan will read, so that they share it."""
        self._knowledge.closeness(np.zeros((1, DIM), np.float32), [()])
        self._scorer.score([])

    def _decide(self, scored: Scored) -> Verdict | None:
        return decide(scored, self._knowledge.class_vectors, self._bundle.known)

    def _finding(self, payload: Payload, scored: Scored, near: tuple[Hit, ...]) -> Finding:
        verdict = self._decide(scored)
        assert verdict is not None  # noqa: S101 (callers have seen that something was read)
        text = None if verdict.named is None else self._knowledge.classes[verdict.named]
        cited = evidence(scored, self.threshold, self._config.limits)
        hits = class_hits(self._knowledge, verdict, self._config.scan.runner_ups + 1)
        return Finding(
            family=self._name,
            record=payload.id,
            where=payload.where,
            verdict=(text.slug or UNKNOWN) if text else UNKNOWN,
            name=text.title if text else self._family.nameless,
            score=scored.score,
            threshold=self.threshold,
            severity=text.severity if text else self._family.severity,
            evidence=cited,
            nearest=near,
            runner_ups=hits[1:] if text else hits[:-1],
            bundle=self.digest,
            intel_version=self.intel_version,
            time=payload.time,
            host=payload.host,
            excerpt=excerpt(payload.data, cited[0].span),
        )

    def _nearest(self, found: list[tuple[Payload, Scored]], k: int) -> list[tuple[Hit, ...]]:
        """The ``k`` nearest texts of each record in which something was read."""
        if not found:
            return []
        vectors = [scored.vector for _, scored in found if scored.vector is not None]
        words = [asked(self._family.prepare(p, self._config.limits).fields) for p, _ in found]
        return self._knowledge.nearest(np.stack(vectors), words, k)
