"""Speed and memory of scanning, measured as users meet it, next to a well-known peer.

The input is a sample of requests, repeated: once with fresh digits in every copy (``varied``:
what real traffic repeats, a cache may know) and once with every field value changed (``unique``:
no cache helps). All runs are held to the same cores; runs of Dragoman and of the peer alternate.

The peer is TF-IDF of character 1- to 4-grams with logistic regression (scikit-learn), fitted on
the synthetic payloads; its worker processes are started and warm before its clock starts, while
Dragoman's are started within the measured time.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..config import Config, Scan
from ..evaluate import rounded
from ..records import Payload, Where
from . import peer as rival
from .system import cores as held_to
from .system import machine, peak_memory
from .traffic import read_sample, vary, write

__all__ = ["payloads", "render"]

REQUESTS = 20_000  # requests of one timed run
STARTS = 7  # starts of the command timed for the first finding
SINGLE = 500  # requests scored one by one for the latency
SMALL = 50  # requests of the small file


class Scanner(Protocol):
    """What is measured: the engine, or anything with its ``scan``."""

    name: str
    digest: str

    def scan(self, source: Any, *, format: str | None = None) -> Iterable[Any]: ...


def payloads(
    load: Callable[[Config], Scanner],
    data: Sequence[str | Path] | None = None,
    *,
    requests: int = REQUESTS,
    repeats: int = 3,
    cores: int = 2,
    peer: bool = True,
    options: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Measure scanning of whole requests; the result is ready for JSON.

    Args:
        load: gives the engine for a configuration, e.g. ``lambda c: Engine.load(config=c)``.
        data: files or directories of requests; ``None``: the shipped sample.
        requests: length of one timed run.
        repeats: timed runs of each kind, of which median, lowest and highest are given.
        cores: CPU cores, and processes of the many-process runs.
        peer: whether to measure the peer too (needs scikit-learn).
        options: of the command ``dragoman scan``, e.g. ``["--bundle", "DIR"]``.
        seed: of the variation.

    Returns:
        ``requests_per_s`` (``varied`` and ``unique`` on all cores, ``one_process``), ``latency_ms``
        (p50 and p99 of scoring one request), ``peak_rss_mb`` (all processes of a scan together),
        ``first_finding_s`` of a small file, ``peer`` and the facts of the machine. Rates are
        {"median", "min", "max"}.

    Raises:
        SourceError: no request could be read from ``data``.
    """
    sample = read_sample(data)
    with held_to(cores) as used, tempfile.TemporaryDirectory() as folder:
        varied = Path(folder, "varied.jsonl")
        unique = Path(folder, "unique.jsonl")
        small = Path(folder, "small.jsonl")
        write(varied, vary(sample, requests, seed))
        write(unique, vary(sample, requests, seed, every_value=True))
        write(small, sample[:SMALL])
        peak = peak_memory(_command(varied, options))  # first: the fall-back asks for the largest
        one, many = (load(Config(scan=Scan(workers=n))) for n in (1, used))
        runs: dict[str, Callable[[], object]] = {
            "varied": lambda: _scan(many, varied),
            "unique": lambda: _scan(many, unique),
            "one_process": lambda: _scan(one, varied),
        }
        with contextlib.ExitStack() as stack:
            missing = _add_peer(runs, varied, used, stack) if peer else "not asked for"
            times = _alternate(runs, repeats)
        rates = {name: _spread([requests / t for t in taken]) for name, taken in times.items()}
        peer_rate = rates.pop("peer", None)
        report = {
            "task": "bench payloads",
            "bundle": {"name": many.name, "digest": many.digest},
            "machine": machine() | {"cores_used": used},
            "sample": len(sample),
            "requests": requests,
            "bytes": varied.stat().st_size,
            "repeats": repeats,
            "requests_per_s": rates,
            "latency_ms": _latency(one, vary(sample, SINGLE, seed + 1)),
            "peak_rss_mb": peak,
            "first_finding_s": _first_finding(small, options),
            "peer": _peer_report(rates["varied"], peer_rate, missing),
        }
        result: dict[str, Any] = rounded(report, 3)
        return result


def render(report: dict[str, Any]) -> list[tuple[str, str]]:
    """The report of :func:`payloads` as rows of (what, figure) for a table."""

    def rate(spread: dict[str, float]) -> str:
        return f"{spread['median']:,.0f} ({spread['min']:,.0f} to {spread['max']:,.0f})"

    rates, latency = report["requests_per_s"], report["latency_ms"]
    first, facts, peer = report["first_finding_s"], report["machine"], report["peer"]
    used, memory = facts["cores_used"], report["peak_rss_mb"]
    if peer["requests_per_s"]:
        against = f"{rate(peer['requests_per_s'])}; Dragoman is {peer['ratio']:.2f} x as fast"
    else:
        against = f"not measured: {peer['reason']}"
    return [
        (f"requests/s, {used} processes", rate(rates["varied"])),
        ("requests/s, every value unique", rate(rates["unique"])),
        ("requests/s, one process", rate(rates["one_process"])),
        ("one request, ms", f"p50 {latency['p50']:.2f}, p99 {latency['p99']:.2f}"),
        ("peak memory, all processes", f"{memory:,.0f} MB" if memory else "the command failed"),
        ("first finding of a small file", f"{first['median']:.2f} s" if first else "no finding"),
        (f"{peer['name']}, requests/s", against),
        ("runs", f"{report['repeats']} x {report['requests']:,} requests"),
        ("machine", f"{facts['cpu']}, {used} of {facts['cores']} cores, Python {facts['python']}"),
    ]


# --- timing


def _scan(engine: Scanner, path: Path) -> None:
    for _ in engine.scan(str(path), format="jsonl"):
        pass


def _alternate(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each run, in rounds: A B C, A B C, ... so that a slow minute hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return times


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _latency(engine: Scanner, requests: Iterable[bytes]) -> dict[str, float]:
    """Milliseconds from a request in memory to its verdict."""
    taken = []
    for number, request in enumerate(requests):
        payload = Payload(str(number), request, "http", Where("bench", line=number + 1))
        start = time.perf_counter()
        for _ in engine.scan([payload]):
            pass
        taken.append((time.perf_counter() - start) * 1e3)
    cuts = statistics.quantiles(taken[len(taken) // 10 :], n=100)  # the first tenth warms up
    return {"p50": cuts[49], "p99": cuts[98]}


def _command(path: Path, options: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "dragoman", "scan", str(path), "--json", *options]


def _first_finding(path: Path, options: Sequence[str]) -> dict[str, float] | None:
    """Seconds from the start of the command to its first finding on standard output."""
    taken = []
    for _ in range(STARTS):
        start = time.perf_counter()
        with subprocess.Popen(
            _command(path, options), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None  # noqa: S101 (a pipe was asked for)
            line = process.stdout.readline()
            taken.append(time.perf_counter() - start)
            process.stdout.read()
        if process.returncode or not line:
            return None
    return _spread(taken)


def _add_peer(
    runs: dict[str, Callable[[], object]], path: Path, cores: int, stack: contextlib.ExitStack
) -> str | None:
    """Add the peer's run right after Dragoman's; gives the reason where it cannot be measured."""
    try:
        pool = stack.enter_context(rival.workers(cores))
    except ModuleNotFoundError as err:
        return f"{err.name} is not installed (pip install 'dragoman[train]')"
    ours = dict(runs)
    runs.clear()
    runs["varied"] = ours.pop("varied")
    runs["peer"] = lambda: rival.scan(pool, path)
    runs.update(ours)
    return None


def _peer_report(
    ours: dict[str, float], theirs: dict[str, float] | None, reason: str | None
) -> dict[str, Any]:
    return {
        "name": rival.NAME,
        "requests_per_s": theirs,
        "ratio": ours["median"] / theirs["median"] if theirs else None,
        "reason": reason,
    }
