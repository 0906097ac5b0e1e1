"""Shortcut probes: does a verdict follow the attack, or what stands around it?

    python benchmarks/payloads/probes.py --rows ROWS --out OUT [--bundle DIR] [--per-class N]

**Context swap.** An attack value is put into a request (:func:`contexts`), and into further
requests that differ in one thing each. A pair is the first request and one of the others; a verdict
is *flipped* when the two verdicts of a pair differ: ``detection`` is whether the score reaches the
system's threshold, over all pairs; ``class`` is the class named, over the pairs found both times
(the class of what is not found is never shown); ``forced`` the class over all pairs, found or not.
A class is a forced choice among the eleven. One pair of a kind an attack, so a kind's share has
Wilson's interval; the share over all kinds has a bootstrap interval over attacks. Attacks that are
nothing but a URL are told apart (``bare_url``): whether such a value redirects, is fetched or is
included depends on the place, so their class may follow it.

**Parts removed.** What is left of a request when its attack is taken out must give no finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import baselines
from attacks import Attack, cuts, made
from data import _stays, disguise
from judges import Judge, command, payload, rate, rate_by_group, sampled, shown
from label import text_of

from dragoman.records import Payload
from dragoman.synth import company
from dragoman.synth.filters import percent, percent_all
from dragoman.synth.request import PLACES, wrap

EXAMPLES = 3
_DOCUMENT = ("query", "form", "json", "multipart")
AT_HOME = {  # places where a value of the class can do harm; else anywhere
    "xml-external-entity": (*_DOCUMENT, "xml"),
    "file-upload": ("multipart",),
    "unsafe-deserialization": (*_DOCUMENT, "cookie"),
    "open-redirect": _DOCUMENT,
    "server-side-request-forgery": (*_DOCUMENT, "xml"),
    "crlf-injection": (*_DOCUMENT, "path"),
}
_HOST = re.compile(rb"(?i)(\r\nhost:[ \t]*)[^\r\n]*")
_AGENT = re.compile(rb"(?i)(\r\nuser-agent:[ \t]*)[^\r\n]*")
_PATH = re.compile(rb"^([A-Z]+ )[^ ?]*")
_METHOD = re.compile(rb"^[A-Z]+")


class Context(NamedTuple):
    """One request around an attack; ``kind`` says in what it differs from the first one."""

    kind: str
    request: bytes


# --- context swap


def contexts(attack: Attack, around: Sequence[bytes]) -> Iterator[Context]:
    """The attack in its first context (kind ``first``), then in others; the same at every call.

    First: a query parameter with a made-up name (a bare URL keeps its own), among others. Then, one
    thing changed at a time: ``host``, ``agent``, ``headers`` (those of one of the real browser
    requests ``around``), ``path``, ``parameter``, ``method``, ``place: ...``, ``encoding: ...``;
    and ``everything``: another place, name, path, client and company. Values that make up a
    multipart body know one place only.
    """
    rng = Random(f"context/{attack.id}")
    places = AT_HOME.get(attack.slug, PLACES)
    own, other = company.name(rng), company.name(rng)
    name, swapped = (attack.name or own,) * 2 if attack.bare else (own, other)
    seed, value = rng.random(), attack.value

    def at(place: str, value: bytes = value, name: str = name, seed: float = seed) -> bytes:
        header = place == "header"
        return wrap(value, Random(seed), where=place, param=None if header else name)

    first = at(places[0])
    yield Context("first", first)
    host, path = company.host(rng), company.path(rng)
    yield Context("host", _HOST.sub(lambda m: m[1] + host, first, count=1))
    yield Context("agent", _with_agent(first, _agent(rng)))
    yield Context("headers", disguise(first, rng.choice(around)))
    yield Context("path", _PATH.sub(lambda m: m[1] + path, first, count=1))
    if name != swapped:
        yield Context("parameter", at(places[0], name=swapped))
    yield Context("method", _METHOD.sub(rng.choice((b"POST", b"PUT", b"PATCH")), first, count=1))
    for place in places[1:]:
        yield Context(f"place: {place}", at(place))
    if places[0] == "query":
        yield Context("encoding: percent", at("query", percent_all(value).encode()))
        double = percent(percent_all(value).encode()).encode()
        yield Context("encoding: double percent", at("query", double))
    yield Context("everything", at(rng.choice(places), name=swapped, seed=rng.random()))


def _agent(rng: Random) -> bytes:
    """A User-Agent of another client."""
    lines = (line for _ in range(20) for line in company.client(rng, "query"))
    found = (line.partition(b":")[2].strip() for line in lines if line.startswith(b"User-Agent:"))
    return next(found, b"curl/8.5.0")


def _with_agent(request: bytes, agent: bytes) -> bytes:
    changed, count = _AGENT.subn(lambda m: m[1] + agent, request, count=1)
    return changed if count else request.replace(b"\r\n", b"\r\nUser-Agent: " + agent + b"\r\n", 1)


class Pair(NamedTuple):
    """The verdicts on an attack in its first context and in another one."""

    attack: Attack
    kind: str
    found: tuple[bool, bool]
    named: tuple[str, str]
    request: bytes

    @property
    def hidden(self) -> bool:
        """Found in one request only."""
        return self.found[0] != self.found[1]

    @property
    def renamed(self) -> bool:
        return self.named[0] != self.named[1]


def pairs(judge: Judge, attacks: Sequence[Attack], around: Sequence[bytes]) -> list[Pair]:
    """Every pair of every attack."""
    of = [list(contexts(attack, around)) for attack in attacks]
    records = [payload(c.request, "http") for some in of for c in some]
    scores, classes = iter(judge.detect(records)), iter(judge.classify(records))
    out = []
    for attack, some in zip(attacks, of, strict=True):
        found = [next(scores) >= judge.threshold for _ in some]
        named = [next(classes) for _ in some]
        for i, context in enumerate(some[1:], 1):
            both = (found[0], found[i]), (named[0], named[i])
            out.append(Pair(attack, context.kind, *both, context.request))
    return out


def context_swap(
    judge: Judge, attacks: Sequence[Attack], around: Sequence[bytes]
) -> dict[str, Any]:
    """Shares of flipped verdicts; the JSON of this probe.

    ``around``: benign browser requests whose headers are lent. Parts: ``all``, and without bare
    URLs (``values``) and of them alone (``bare_url``), each with ``kinds``.
    """
    found = pairs(judge, attacks, around)
    parts = {
        "all": found,
        "values": [p for p in found if not p.attack.bare],
        "bare_url": [p for p in found if p.attack.bare],
    }
    return {name: _swapped(some) for name, some in parts.items()} | {"examples": _examples(found)}


def _swapped(found: list[Pair]) -> dict[str, Any]:
    kinds: dict[str, list[Pair]] = {}
    slugs: dict[str, list[Pair]] = {}
    for pair in found:
        kinds.setdefault(pair.kind, []).append(pair)
        slugs.setdefault(pair.attack.slug, []).append(pair)
    ids = [pair.attack.id for pair in found]
    both = [pair for pair in found if all(pair.found)]
    return {
        "attacks": len(set(ids)),
        "detection": rate_by_group([p.hidden for p in found], ids),
        "class": rate_by_group([p.renamed for p in both], [p.attack.id for p in both]),
        "forced": rate_by_group([p.renamed for p in found], ids),
        "kinds": {kind: _flips(some) for kind, some in kinds.items()},
        "classes": {slug: _flips(some) for slug, some in sorted(slugs.items())},
    }


def _flips(some: list[Pair]) -> dict[str, Any]:
    lost = sum(p.found == (True, False) for p in some)
    gained = sum(p.found == (False, True) for p in some)
    both = [p for p in some if all(p.found)]
    return {
        "detection": rate(lost + gained, len(some)) | {"lost": lost, "gained": gained},
        "class": rate(sum(p.renamed for p in both), len(both)),
        "forced": rate(sum(p.renamed for p in some), len(some)),
    }


def _examples(found: list[Pair]) -> dict[str, list[dict[str, Any]]]:
    """Of each kind, the first few pairs with a verdict flipped that a user would see."""
    out: dict[str, list[dict[str, Any]]] = {}
    for p in found:
        some = out.setdefault(p.kind, [])
        if (p.hidden or (all(p.found) and p.renamed)) and len(some) < EXAMPLES:
            about = {"id": p.attack.id, "value": shown(p.attack.value), "found": list(p.found)}
            some.append(about | {"named": list(p.named), "request": shown(p.request)})
    return {kind: some for kind, some in out.items() if some}


# --- parts removed


def left(attack: Attack) -> Iterator[tuple[str, bytes]]:
    """What is left of the request that carried ``attack`` when the attack is taken out.

    ``headers``: method and headers, the path ``/``, no body; headers that no browser sends go too
    if the attack sits in one. ``path``: the path alone, with the host. ``all but the value``: the
    same request with ``1`` where the attack was. Requests whose path attacks have no ``path``.
    """
    if attack.kind == "value":
        return
    head = attack.with_value(b"1").replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    line, *headers = head.split(b"\n")
    method, target, *_ = [*line.split(b" "), b"/"]
    host = [h for h in headers if h.lower().startswith(b"host:")]
    yield "headers", _request(b"%s / HTTP/1.1" % method, [h for h in headers if _ordinary(h)])
    if attack.place != "path":
        path = target.partition(b"?")[0]
        yield "path", _request(b"GET %s HTTP/1.1" % path, host)
        yield "all but the value", attack.with_value(b"1")


def _ordinary(header: bytes) -> bool:
    """Neither about a body that is no longer there, nor odd."""
    text = header.decode("latin-1")
    return not text.lower().startswith(("content-", "transfer-")) and not _stays(text)


def _request(line: bytes, headers: list[bytes]) -> bytes:
    return b"\r\n".join([line, *headers]) + b"\r\n\r\n"


def parts_removed(judge: Judge, attacks: Iterable[Attack]) -> dict[str, Any]:
    """Share of findings by what was left; the JSON of this probe."""
    rests: dict[str, list[tuple[Attack, Payload]]] = {}
    for attack in attacks:
        for kind, request in left(attack):
            rests.setdefault(kind, []).append((attack, payload(request, "http")))
    out: dict[str, Any] = {}
    for kind, some in rests.items():
        scores = judge.detect([p for _, p in some])
        found = [i for i, score in enumerate(scores) if score >= judge.threshold]
        examples = [
            {"id": some[i][0].id, "score": round(scores[i], 4), "request": shown(some[i][1].data)}
            for i in found[:EXAMPLES]
        ]
        out[kind] = rate(len(found), len(some)) | {"examples": examples}
    return out


# --- all


def measured(judge: Judge, rows: Path, per_class: int, seed: int = 1) -> dict[str, Any]:
    """Both probes on the test rows of ``rows`` and on generated values, as JSON.

    At most ``per_class`` attacks of a class and source.
    """
    tests = {
        name: baselines.load(rows / f"test_{name}.jsonl.gz")
        for name in ("exploitdb", "later", "httpparams", "disguised", "benign_hosts")
    }
    around = [text_of(r) for r in tests["benign_hosts"] if r["source"] == "blazehttp"]
    sources = {name: cuts(tests[name]) for name in ("exploitdb", "later", "httpparams")}
    sources["synth"] = list(made(seed, per_class))
    swapped = {
        name: context_swap(judge, sampled(some, per_class, lambda a: a.slug), around)
        for name, some in sources.items()
    }
    removed = {
        name: parts_removed(judge, cuts(tests[name]))
        for name in ("exploitdb", "later", "disguised")
    }
    return {"system": judge.name, "context_swap": swapped, "parts_removed": removed}


if __name__ == "__main__":
    command(__doc__, measured, per_class=60)
