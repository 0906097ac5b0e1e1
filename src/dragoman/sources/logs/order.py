"""Repairs of a stream of events, each in bounded memory: the order of clocks, and who a pid was."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from operator import itemgetter

from ...records import Event, Process, Rejected
from .build import Remembered
from .times import SECOND

_SAME_START = 2 * SECOND  # two records of the start of one process lie within this time


class Ordered(Iterator[Event | Rejected]):
    """Events in the order of their times, as far as a window reaches; ``late`` counts the others.

    An event waits until one is met that is ``window_s`` seconds younger, or ``limit`` wait. One
    that comes later than that passes at once, so that nothing is lost; and so does ``Rejected``.
    Each file is put in order by itself; ``merged`` brings logs of one time together.
    """

    def __init__(
        self, events: Iterable[Event | Rejected], window_s: float = 300.0, limit: int = 50_000
    ) -> None:
        self.late = 0
        self._records = self._run(iter(events), int(window_s * SECOND), max(1, limit))

    def __next__(self) -> Event | Rejected:
        return next(self._records)

    def _run(
        self, events: Iterator[Event | Rejected], window: int, limit: int
    ) -> Iterator[Event | Rejected]:
        waiting: list[tuple[int, int, Event]] = []
        latest = passed = 0
        path = ""
        for number, event in enumerate(events):
            if isinstance(event, Rejected):
                yield event
                continue
            if event.where.path != path:
                while waiting:
                    yield heapq.heappop(waiting)[2]
                latest = passed = 0
                path = event.where.path
            if event.time < passed:
                self.late += 1
                yield event
                continue
            latest = max(latest, event.time)
            heapq.heappush(waiting, (event.time, number, event))
            while waiting[0][0] < latest - window or len(waiting) > limit:
                passed, _, first = heapq.heappop(waiting)
                yield first
        while waiting:
            yield heapq.heappop(waiting)[2]


def ordered(
    events: Iterable[Event | Rejected], window_s: float = 300.0, limit: int = 50_000
) -> Ordered:
    """Repair the order of events within ``window_s`` seconds, at most ``limit`` held."""
    return Ordered(events, window_s, limit)


def merged(streams: Iterable[Iterable[Event | Rejected]]) -> Iterator[Event | Rejected]:
    """Events of several streams, each in order, by time; of one time in the order of the streams.

    All streams are open at once: give each log of a host its own, archives as one. ``Rejected``
    passes with the event before it.
    """
    return map(itemgetter(2), heapq.merge(*map(_timed, count(), streams)))


def _timed(
    place: int, stream: Iterable[Event | Rejected]
) -> Iterator[tuple[int, tuple[int, int], Event | Rejected]]:
    """Each record with its time, and a place that no other has."""
    time = 0
    for number, record in enumerate(stream):
        if isinstance(record, Event):
            time = max(time, record.time)
        yield time, (place, number), record


def identified(
    events: Iterable[Event | Rejected], limit: int = 200_000
) -> Iterator[Event | Rejected]:
    """Give every process named by a pid alone the identity it has at that time on its host.

    A pid stands for the process that last started under it: by its GUID where another log of the
    host has one, else as ``pid@start``. What earlier records told of the process (image, command
    line, user, parent) is filled in. ``limit`` processes are remembered; the events must be in
    order.
    """
    known = _Known(limit)
    for event in events:
        yield event if isinstance(event, Rejected) else known.seen(event)


class _Known:
    """The live processes: by host and pid the last one, with the time of its start."""

    def __init__(self, limit: int) -> None:
        self._live: Remembered[tuple[Process, int]] = Remembered(limit)

    def seen(self, event: Event) -> Event:
        thing, actor = event.object, event.actor
        actor = actor and self._known(event.host, actor)
        process = thing.process
        if process is not None:
            if event.verb in ("start", "fork") and thing.kind == "process":
                process = self._started(event, process, actor)
            else:
                process = self._known(event.host, process)
        if event.verb == "end" and process is not None and process.pid is not None:
            self._live.pop(f"{event.host} {process.pid}", None)
        if process is not thing.process:
            thing = replace(thing, process=process)
        elif actor is event.actor:
            return event
        return replace(event, actor=actor, object=thing)

    def _known(self, host: str, process: Process) -> Process:
        """The process with what is known of it, or as it is."""
        if process.pid is None:
            return process
        found = self._live.get(f"{host} {process.pid}")
        if found is None:
            if "-" in process.id:  # a GUID
                self._live.store(f"{host} {process.pid}", (process, 0))
            return process
        other, start = found
        if process.id in (other.id, str(process.pid)):
            merged = _merged(process, other)
        else:  # another identity under this pid: its start was not seen
            merged, start = process, 0
        if merged != other:
            self._live.store(f"{host} {process.pid}", (merged, start))
        return merged

    def _started(self, event: Event, process: Process, actor: Process | None) -> Process:
        """A process that begins: new, or the one just forked or told of by another log."""
        parent = process.parent or (actor.id if actor else "")
        process = replace(process, parent=parent)
        if process.pid is None:
            return process
        key = f"{event.host} {process.pid}"
        other, start = self._live.get(key, (None, 0))
        again = other is not None and event.verb == "start" and other.parent == parent
        near = other is not None and start and abs(event.time - start) < _SAME_START
        if process.id == str(process.pid):
            if other is not None and (again or near):
                process = replace(process, id=other.id)
            else:
                process, start = replace(process, id=f"{process.pid}@{event.time}"), event.time
        else:
            start = event.time
        self._live.store(key, (process, start))
        return process


def _merged(process: Process, other: Process) -> Process:
    """One process by two records: what the first leaves open, the second fills."""
    filled = Process(
        other.id,
        process.pid,
        process.image or other.image,
        process.command_line or other.command_line,
        process.user or other.user,
        process.parent or other.parent,
    )
    return other if filled == other else filled
