"""A running scan: findings in record order, at constant memory, on every core if it pays."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from .config import Config
from .errors import SourceError, UsageError
from .records import Counts, Finding, Payload, Rejected

if TYPE_CHECKING:
    from .engine import Engine

Source = str | Path | Iterable[str | Path] | Iterable[Payload | Rejected]
Examined = tuple[list[Finding], int]

_FIRST = 32  # records of the first batch, so that the first finding comes soon
_ALONE = 500  # records read before other processes are worth their start
_REJECTS_KEPT = 1_000

_engine: Engine | None = None  # the engine of a worker process, inherited by fork


class Scan(Iterator[Finding]):
    """Iterates over findings; ``counts`` is up to date with what was yielded, final at the end.

    ``counts`` keeps the first 1,000 rejected records. To see them all, set ``on_reject`` before
    iterating: it is called with each as it is met.
    """

    on_reject: Callable[[Rejected], object] | None = None

    def __init__(
        self, engine: Engine, records: Iterable[Payload | Rejected], config: Config
    ) -> None:
        self.counts = Counts()
        self._engine, self._config, self._records = engine, config, records
        self._findings = self._run()

    def __next__(self) -> Finding:
        return next(self._findings)

    def close(self) -> None:
        """End the scan before its input does; processes it has started end with it."""
        self._findings.close()

    def _run(self) -> Generator[Finding, None, None]:
        batches = self._batches()
        for examined in self._examined(batches):
            found, uncovered = examined
            self.counts.found += len(found)
            self.counts.not_covered += uncovered
            yield from found
        if not self.counts.parsed:
            seen = getattr(self._records, "summary", lambda: "no record was given")()
            raise SourceError(
                f"nothing could be parsed ({self.counts.rejected} rejected)",
                hint=f"{seen}\n  name the format with --format",
            )

    def _batches(self) -> Iterator[list[Payload]]:
        parsed = self._parsed()
        size = _FIRST
        while batch := list(islice(parsed, size)):
            yield batch
            size = self._config.scan.batch

    def _parsed(self) -> Iterator[Payload]:
        for record in self._records:
            if isinstance(record, Rejected):
                self.counts.rejected += 1
                if len(self.counts.rejects) < _REJECTS_KEPT:
                    self.counts.rejects.append(record)
                if self.on_reject:
                    self.on_reject(record)
                continue
            if not isinstance(record, self._engine._family.evidence):
                raise UsageError(
                    f"cannot scan a {type(record).__name__}", hint="give Payloads or paths"
                )
            self.counts.parsed += 1
            yield record

    def _examined(self, batches: Iterator[list[Payload]]) -> Iterator[Examined]:
        workers = self._config.scan.workers or _processors()
        forks = "fork" in multiprocessing.get_all_start_methods()
        done = 0
        for batch in batches:
            yield self._engine._examine(batch)
            done += len(batch)
            if workers > 1 and forks and done >= _ALONE:
                yield from _in_processes(self._engine, batches, workers)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_processes(
    engine: Engine, batches: Iterator[list[Payload]], workers: int
) -> Iterator[Examined]:
    """Examine batches in forked processes, in order, with a bounded number under way."""
    global _engine
    _engine = engine
    engine._warm()
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        with _held_back(signal.SIGINT):  # one that came while they start would be lost
            pool.submit(int)  # with fork the first task starts every process
        waiting: deque[Future[Examined]] = deque()
        for batch in batches:
            waiting.append(pool.submit(_examine, batch))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def _held_back(number: signal.Signals) -> Iterator[None]:
    """A signal that comes meanwhile is delivered afterwards; processes started never get it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _examine(batch: list[Payload]) -> Examined:
    assert _engine is not None  # noqa: S101 (set before the fork)
    return _engine._examine(batch)
