"""Evasion: what detection loses when a detected attack is written otherwise.

    python benchmarks/payloads/evasion.py --rows ROWS --out OUT [--bundle DIR] [--per-class N]

Of each test set the attacks are taken whose value can be cut out (``attacks.py``) and that the
system finds as they came. Each is written anew by every evasion that fits and changes it
(``evasions.py``: those training knows, and those held out), and by none (``rewritten``: the same
value encoded anew for its place; what that loses is not the evasion's doing, but is not taken off
either). Shares are of what is no longer found at the system's threshold, with Wilson's interval, or
a bootstrap interval over attacks where an attack counts several times. The ``curve`` stacks one,
two and three evasions, on the same attacks at each strength.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import baselines
from attacks import Attack, cuts
from evasions import HELD_OUT, KNOWN, POOLS, Evasion
from judges import Judge, command, payload, rate, rate_by_group, sampled, shown

STRENGTHS = (1, 2, 3)
EXAMPLES = 3
SETS = ("exploitdb", "later", "disguised", "httpparams")


class Try(NamedTuple):
    """A detected attack, what was done to it, and the record that came of it."""

    attack: Attack
    done: tuple[Evasion, ...]
    record: bytes


def written(attack: Attack, evasions: Sequence[Evasion], seed: object) -> bytes | None:
    """The record with ``evasions`` applied, tricks before wrappers; ``None`` if one does nothing.

    The same for the same arguments.
    """
    value = attack.value.decode("latin-1")
    for evasion in evasions:
        if evasion.trick:
            changed = evasion.trick(value, _rng(seed, attack, evasion))
            if changed == value:
                return None
            value = changed
    attack = replace(attack, value=value.encode("latin-1"))
    raw = attack.encoded(attack.value)
    for evasion in evasions:
        if evasion.wrapper:
            wrapped = evasion.wrapper(raw, attack, _rng(seed, attack, evasion))
            if wrapped == raw:
                return None
            raw = wrapped
    return attack.carrying(raw)


def _rng(seed: object, attack: Attack, evasion: Evasion) -> Random:
    return Random(f"{seed}/{attack.id}/{evasion.kind}/{evasion.name}")


def detected(judge: Judge, attacks: Sequence[Attack]) -> list[Attack]:
    """Those that the system finds as they came."""
    scores = judge.detect([payload(a.record, a.kind) for a in attacks])
    return [a for a, score in zip(attacks, scores, strict=True) if score >= judge.threshold]


def evade(judge: Judge, attacks: Sequence[Attack], seed: int = 1) -> dict[str, Any]:
    """The JSON of this probe for one set of attacks."""
    found = detected(judge, attacks)
    same = [Try(a, (), a.with_value(a.value)) for a in found]
    out: dict[str, Any] = {
        "attacks": len(attacks),
        "detected": len(found),
        "rewritten": _lost(judge, same),
        "curve": {
            name: _curve(judge, found, pool, seed)
            for name, pool in (POOLS | {"both": KNOWN + HELD_OUT}).items()
        },
    }
    for name, pool in POOLS.items():
        tries = [
            Try(attack, (evasion,), record)
            for attack in found
            for evasion in pool
            if evasion.fits(attack) and (record := written(attack, (evasion,), seed)) is not None
        ]
        out[name] = _by_kind(judge, tries)
    return out


def _lost(judge: Judge, tries: Sequence[Try]) -> dict[str, Any]:
    return rate_by_group(_gone(judge, tries), [t.attack.id for t in tries])


def _gone(judge: Judge, tries: Sequence[Try]) -> list[bool]:
    scores = judge.detect([payload(t.record, t.attack.kind) for t in tries])
    return [score < judge.threshold for score in scores]


def _by_kind(judge: Judge, tries: Sequence[Try]) -> dict[str, Any]:
    """Lost over all tries, by kind, by class and by evasion, with examples of what was lost."""
    gone = _gone(judge, tries)
    return {
        "lost": _parts(tries, gone, lambda t: "all").get("all", rate(0, 0)),
        "kinds": _parts(tries, gone, lambda t: t.done[0].kind),
        "classes": _parts(tries, gone, lambda t: t.attack.slug),
        "evasions": _parts(tries, gone, lambda t: _name(t.done[0])),
        "examples": _examples(t for t, lost in zip(tries, gone, strict=True) if lost),
    }


def _name(evasion: Evasion) -> str:
    about = f"{evasion.kind}: {evasion.name}"
    return f"{about} ({evasion.slugs[0]})" if len(evasion.slugs) == 1 else about


def _parts(
    tries: Sequence[Try], gone: Sequence[bool], key: Callable[[Try], str]
) -> dict[str, dict[str, Any]]:
    parts: dict[str, tuple[list[bool], list[str]]] = {}
    for one, lost in zip(tries, gone, strict=True):
        hits, ids = parts.setdefault(key(one), ([], []))
        hits.append(lost)
        ids.append(one.attack.id)
    return {name: rate_by_group(*part) for name, part in sorted(parts.items())}


def _examples(lost: Iterable[Try]) -> dict[str, list[dict[str, str]]]:
    out: dict[str, list[dict[str, str]]] = {}
    for one in lost:
        some = out.setdefault(_name(one.done[0]), [])
        if len(some) < EXAMPLES:
            start, grown = one.attack.start, len(one.record) - len(one.attack.record)
            end = one.attack.end + grown
            about = {"id": one.attack.id, "value": shown(one.attack.value)}
            some.append(about | {"written": shown(one.record[start:end])})
    return out


def _curve(
    judge: Judge, attacks: Sequence[Attack], pool: Sequence[Evasion], seed: int
) -> dict[str, Any]:
    """Lost by number of stacked evasions, on the attacks to which that many can be applied."""
    chains = [(attack, chain(attack, pool, seed)) for attack in attacks]
    full = [(attack, some) for attack, some in chains if len(some) == max(STRENGTHS)]
    out = {}
    for strength in STRENGTHS:
        tries = [
            Try(attack, some[:strength], record)
            for attack, some in full
            if (record := written(attack, some[:strength], seed)) is not None
        ]
        out[str(strength)] = _lost(judge, tries)
    return out


def chain(attack: Attack, pool: Sequence[Evasion], seed: int) -> tuple[Evasion, ...]:
    """Up to three evasions that can be stacked on the attack, drawn at random, each once."""
    fit = [evasion for evasion in pool if evasion.fits(attack)]
    Random(f"chain/{seed}/{attack.id}").shuffle(fit)
    chosen: tuple[Evasion, ...] = ()
    for evasion in fit:
        if len(chosen) < max(STRENGTHS) and written(attack, (*chosen, evasion), seed) is not None:
            chosen = (*chosen, evasion)
    return chosen


def measured(judge: Judge, rows: Path, per_class: int) -> dict[str, Any]:
    """Every set, at most ``per_class`` attacks of a class, as JSON."""
    out: dict[str, Any] = {}
    for name in SETS:
        attacks = cuts(baselines.load(rows / f"test_{name}.jsonl.gz"))
        out[name] = evade(judge, sampled(attacks, per_class, lambda a: a.slug))
    return {"system": judge.name, "sets": out}


if __name__ == "__main__":
    command(__doc__, measured, per_class=200)
