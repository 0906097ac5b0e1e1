"""The machine and its memory, as far as the system tells."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        names = re.findall(r"(?m)^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text())
        cpu = names[0] if names else cpu
    return {
        "cpu": cpu,
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


@contextlib.contextmanager
def cores(wanted: int) -> Iterator[int]:
    """Hold this process and its children to ``wanted`` cores where possible; gives the number."""
    if not hasattr(os, "sched_setaffinity"):
        yield min(wanted, os.cpu_count() or 1)
        return
    before = os.sched_getaffinity(0)
    chosen = sorted(before)[:wanted]
    os.sched_setaffinity(0, chosen)
    try:
        yield len(chosen)
    finally:
        os.sched_setaffinity(0, before)


def peak_memory(command: Sequence[str]) -> float | None:
    """The most memory (MB) a command and its processes hold together; ``None`` if it fails.

    Proportional set size of the process tree, read often, so that shared pages count once. Where
    the system does not tell (no ``/proc``): the largest process times the number of processes.
    """
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(map(_set_size, _tree(process.pid))))
            time.sleep(0.05)
    if process.returncode:
        return None
    return (peak or _largest_child() * (1 + (os.cpu_count() or 1))) / 1e6


def _largest_child() -> int:
    """Bytes of the largest process that ran under this one so far; 0 where it is not known."""
    with contextlib.suppress(ImportError):  # not on Windows
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    return 0


def _tree(pid: int) -> list[int]:
    """The process and its descendants; those that end meanwhile are passed over."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def _set_size(pid: int) -> int:
    """Bytes of one process, pages it shares divided among their users; 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
