"""What is common in benign logs, learned: how many processes, on how many hosts, do it.

    background = fit([events_of_one_host, events_of_another, ...])
    background.save("background.safetensors")

Holds hashes of generalised behaviours and counts; no names, so nothing of the training logs can be
read from it, and nothing is common for the name of a host, user or data set.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..config import Limits
from ..errors import BundleError
from ..records import Event, Rejected
from .behaviour import Behaviour, behaviour
from .graph import Subgraph, subgraphs

_DEFAULT = Limits()
_FORMAT = "dragoman-background-1"
_LEAST = ("processes", "programs", "groups")
_TAKEN = frozenset(("load", "read", "open"))


def key(kind_of: Behaviour) -> int:
    """64 bits of BLAKE2b of actor role, verb, kind, object role; the rights to a process too."""
    actor, verb, kind, thing, detail, outcome = kind_of
    parts = (actor, verb, kind, thing, detail if kind == "process" else "", outcome)
    digest = hashlib.blake2b("\t".join(parts).encode("utf-8", "replace"), digest_size=8)
    return int.from_bytes(digest.digest(), "little")


def _anyone(kind_of: Behaviour) -> int | None:
    """The same by whatever program, for what is taken in: libraries loaded, files read."""
    if kind_of.verb in _TAKEN and kind_of.kind in ("module", "file"):
        return key(kind_of._replace(actor="*"))
    return None


class Background:
    """Behaviours with how many benign processes, on how many hosts (groups), show them.

    ``counts``: key -> (processes, groups); a behaviour is common from ``processes`` and ``groups``
    on: what only one host does is a habit of that host, not of the world. ``anyone``: key of what
    is read or loaded -> (programs, groups); what ``programs`` different programs read is common for
    a program never seen, too.
    """

    def __init__(
        self,
        counts: dict[int, tuple[int, int]],
        anyone: dict[int, tuple[int, int]],
        *,
        processes: int = 3,
        programs: int = 12,
        groups: int = 2,
    ) -> None:
        self.counts, self.anyone = counts, anyone
        self.processes, self.programs, self.groups = processes, programs, groups
        self._common = _frequent(counts, processes, groups)
        self._for_anyone = _frequent(anyone, programs, groups)

    def __len__(self) -> int:
        return len(self._common) + len(self._for_anyone)

    def common(self, kind_of: Behaviour) -> bool:
        """Whether this behaviour is common background."""
        return key(kind_of) in self._common or _anyone(kind_of) in self._for_anyone

    def save(self, path: str | Path) -> None:
        """Write counts and thresholds to a safetensors file."""
        import numpy as np
        from safetensors.numpy import save_file

        most = np.iinfo(np.uint32).max
        tensors: dict[str, Any] = {}
        for part, table in (("counts", self.counts), ("anyone", self.anyone)):
            rows = sorted(table.items())
            often = [[min(number, most) for number in numbers] for _, numbers in rows]
            tensors[f"{part}_keys"] = np.array([name for name, _ in rows], np.uint64)
            tensors[part] = np.array(often, np.uint32).reshape(-1, 2)
        about = {name: str(getattr(self, name)) for name in _LEAST}
        save_file(tensors, str(path), {"format": _FORMAT, **about})

    @classmethod
    def load(cls, path: str | Path) -> Background:
        """Read what ``save`` wrote.

        Raises:
            BundleError: the file is missing, damaged, or of another kind.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), "numpy") as file:
                about: dict[str, Any] = file.metadata() or {}
                if about.get("format") != _FORMAT:
                    raise ValueError("of another format")
                tables = [
                    {
                        name: (often, wide)
                        for name, (often, wide) in zip(
                            file.get_tensor(f"{part}_keys").tolist(),
                            file.get_tensor(part).tolist(),
                            strict=True,
                        )
                    }
                    for part in ("counts", "anyone")
                ]
            least: dict[str, Any] = {name: int(about[name]) for name in _LEAST}
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as err:
            raise BundleError(f"not a background table: {err}", where=str(path)) from err
        return cls(*tables, **least)


def _frequent(table: dict[int, tuple[int, int]], least: int, groups: int) -> frozenset[int]:
    return frozenset(
        name for name, (often, wide) in table.items() if often >= least and wide >= groups
    )


class Counting:
    """Counts for a ``Background``, subgraph by subgraph, one group after another."""

    def __init__(self) -> None:
        self._often: Counter[int] = Counter()
        self._programs: dict[int, set[str]] = {}
        self._groups: Counter[int] = Counter()
        self._here: set[int] = set()

    def add(self, subgraph: Subgraph) -> None:
        """Count the behaviours of one subgraph, each once for a process."""
        shown: set[tuple[int, int]] = set()
        for edge in subgraph.edges.values():
            kind_of = behaviour(edge.event, subgraph.actor(edge).image)
            shown.add((edge.member, key(kind_of)))
            if (taken := _anyone(kind_of)) is not None:
                self._programs.setdefault(taken, set()).add(kind_of.actor)
                self._here.add(taken)
        keys = [name for _, name in shown]
        self._often.update(keys)
        self._here.update(keys)

    def end_group(self) -> None:
        """The next subgraph is of another host or recording."""
        self._groups.update(self._here)
        self._here = set()

    def background(self, *, processes: int = 3, programs: int = 12, groups: int = 2) -> Background:
        """The table; what one process or program alone showed is left out of it."""
        self.end_group()
        counts = {
            name: (often, self._groups[name]) for name, often in self._often.items() if often > 1
        }
        anyone = {
            name: (len(who), self._groups[name])
            for name, who in self._programs.items()
            if len(who) > 1
        }
        return Background(counts, anyone, processes=processes, programs=programs, groups=groups)


def fit(
    groups: Iterable[Iterable[Event | Rejected]],
    limits: Limits = _DEFAULT,
    *,
    least_processes: int = 3,
    least_programs: int = 12,
    least_groups: int = 2,
) -> Background:
    """Learn from benign logs: each group the ordered events of one host or recording."""
    counting = Counting()
    for events in groups:
        for subgraph in subgraphs(events, limits):
            counting.add(subgraph)
        counting.end_group()
    return counting.background(
        processes=least_processes, programs=least_programs, groups=least_groups
    )
