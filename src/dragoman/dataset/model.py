"""Payloads out of a language model: each side has prompt variants of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

from ..synth.grammar import Sample
from . import prompts
from .chat import Chat
from .checks import fault, reserve
from .cves import Cve, cut
from .grammar import Draft, FromGrammar, More, Reject

SPARE = 4  # times as many requests as were needed if every payload were good


class _Job(NamedTuple):
    cve: Cve
    variant: str
    turn: int


class FromModel:
    """The generator ``llm``. Every value is read a second time, by the same endpoint but blind to
    the class that was asked for; where the two readings differ the value is rejected.

    Benign rows come from the benign grammar, so that attacks alone differ in their author.
    """

    name = "llm"

    def __init__(self, chat: Chat, seed: int) -> None:
        self._chat, self._seed = chat, seed
        self._benign = FromGrammar(seed)
        self._sides = cut(sorted(prompts.variants()), Random(f"{seed}/variants"))

    def about(self) -> dict[str, Any]:
        """What the card says of this generator."""
        sent, received = self._chat.tokens
        return {
            "model": self._chat.model,
            "prompts_sha256": prompts.digest(),
            "variants": self._sides,
            "answers": self._chat.answers,
            "tokens_in": sent,
            "tokens_out": received,
        }

    def start(self, slug: str, side: str, cves: Sequence[Cve], reject: Reject) -> More:
        """Drafts of class ``slug``, each for the CVE whose description the model was given."""
        if slug == "benign":
            return self._benign.start(slug, side, cves, reject)
        jobs = _jobs(cves, self._sides[side])
        asked, most = 0, 0

        def more(wanted: int) -> list[Draft]:
            nonlocal asked, most
            need = math.ceil(wanted / prompts.ASKED)
            most = most or SPARE * need + len(cves[:10])
            while asked < most:
                wave = min(need, self._chat.workers, most - asked)
                asked += wave
                if drafts := self._wave([next(jobs) for _ in range(wave)], reject):
                    return drafts
            return []

        return more

    def _wave(self, jobs: list[_Job], reject: Reject) -> list[Draft]:
        answers = self._chat.ask([prompts.ask(*job) for job in jobs])
        read = [
            (job, samples)
            for job, answer in zip(jobs, answers, strict=True)
            if (samples := self._read(job, answer, reject))
        ]
        second = self._chat.ask([prompts.judge(samples) for _, samples in read])
        return [
            Draft(sample, job.cve)
            for (job, samples), answer in zip(read, second, strict=True)
            for sample in _agreed(samples, answer, job.cve, reject)
        ]

    def _read(self, job: _Job, answer: str, reject: Reject) -> list[Sample]:
        """The payloads of an answer that are what was asked for, as far as can be seen here."""
        template = f"{self._chat.model}/{job.variant}"
        empty = Sample(answer.encode("utf-8", "replace"), job.cve.label, template)
        try:
            entries = prompts.payloads(answer)
        except ValueError as err:
            reject(empty, job.cve, f"answer: {err}")
            return []
        out = []
        for entry in entries[: 2 * prompts.ASKED]:
            try:
                sample = prompts.sample(entry, job.cve.label, template)
            except ValueError as err:
                reject(empty, job.cve, f"answer: {err}")
                continue
            sample = replace(sample, payload=reserve(sample.payload.decode()).encode())
            if why := fault(sample.payload):
                reject(sample, job.cve, why)
            else:
                out.append(sample)
        return out


def _jobs(cves: Sequence[Cve], variants: Sequence[str]) -> Iterator[_Job]:
    """Every CVE with one variant, then with the next; after all variants the next turn."""
    turn = 0
    while True:
        for shift in range(len(variants)):
            for i, cve in enumerate(cves):
                variant = variants[(i + shift) % len(variants)]
                yield _Job(cve, variant, turn + 1)
        turn += 1


def _agreed(samples: list[Sample], answer: str, cve: Cve, reject: Reject) -> list[Sample]:
    """The samples that the second reading puts into their class too."""
    try:
        verdicts = prompts.verdicts(answer, len(samples))
    except ValueError as err:
        for sample in samples:
            reject(sample, cve, f"second reading: {err}")
        return []
    out = []
    for sample, verdict in zip(samples, verdicts, strict=True):
        if verdict == sample.label:
            out.append(sample)
        else:
            reject(sample, cve, f"second reading: {verdict}")
    return out
