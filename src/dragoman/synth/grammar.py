"""Web attack payloads from small grammars, one TOML file per threat class (``classes/*.toml``).

A file names its ``slug``, its ``[slots]`` (each a list of alternatives) and its ``[[template]]``s::

    slug = "sql-injection"
    [slots]
    table = ['users', 'accounts']
    [[template]]
    id = "union-select"                  # stable: data splits are made by template id
    text = '''«close» UNION SELECT «cols» FROM «table»'''
    where = ["query", "form"]            # optional: natural places in a request
    param = ["id", "page"]               # optional: natural parameter names
    kind = "http"                        # optional: a whole request, lines end in CRLF
    binary = true                        # optional: characters <= U+00FF stand for bytes

Inside templates and alternatives:

    «name»          one alternative of slot ``name``, or a built-in (see ``BUILTINS``)
    «name?»         the same, but empty half of the time
    «=name»         expanded once per payload, the same text at every place it is used
    «b64(name)»     a filter (see ``FILTERS``); filters nest: «url(b64(name))»
    «nest(name,2-5)» the expansion repeated two to five times

The grammars are written from knowledge of the attack classes, for training and evaluation only:
hosts and addresses are reserved for documentation (RFC 2606, RFC 5737) or local to a machine, and
no payload destroys anything.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Any

from ..errors import UsageError
from ..records import Kind
from .filters import BUILTINS, FILTERS

MAX_BYTES = 8192
MAX_DEPTH = 20
RETRIES = 12  # draws of one template that may repeat before it counts as exhausted

_MARK = re.compile(r"«([^«»]*)»")
_CALL = re.compile(r"([a-z0-9_]+)\((.*)\)")
_NEST = re.compile(r"nest\((.*),(\d+)-(\d+)\)")
_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_TEMPLATE_KEYS = {"id", "text", "kind", "binary", "where", "param"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One payload. ``params`` and ``where`` say where it is at home; empty means anywhere."""

    payload: bytes
    label: str
    template: str
    kind: Kind = "value"
    params: tuple[str, ...] = ()
    where: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Ref:
    name: str
    steps: tuple[str | tuple[int, int], ...] = ()  # filters and repetitions, innermost first
    optional: bool = False
    shared: bool = False


_Parts = tuple["str | _Ref", ...]


@dataclass(frozen=True, slots=True)
class Template:
    """One shape of payload; ``parts`` alternates literal text and slot references."""

    id: str
    parts: _Parts
    kind: Kind = "value"
    binary: bool = False
    where: tuple[str, ...] = ()
    params: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grammar:
    """A parsed class file. ``origin`` names the file in errors."""

    slug: str
    slots: Mapping[str, tuple[_Parts, ...]]
    templates: Mapping[str, Template]
    origin: str

    def expand(self, template: str, rng: random.Random) -> Sample:
        """One random payload of a template.

        Raises:
            UsageError: no such template, slots nested deeper than 20, or more than 8 KiB.
        """
        return self._expand(template, rng)[0]

    def _expand(self, template: str, rng: random.Random) -> tuple[Sample, tuple[int, ...]]:
        where = f"{self.origin}: template {template}"
        if template not in self.templates:
            raise UsageError("no such template", where=where)
        rule = self.templates[template]
        run = _Expansion(self, rng, "latin-1" if rule.binary else "utf-8", where)
        text = run.parts(rule.parts, 0)
        if rule.kind == "http":
            text = text.replace("\r\n", "\n").replace("\n", "\r\n")
        payload = run.encoded(text)
        if len(payload) > MAX_BYTES:
            raise UsageError(f"expands to {len(payload)} bytes, more than {MAX_BYTES}", where=where)
        sample = Sample(payload, self.slug, rule.id, rule.kind, rule.params, rule.where)
        return sample, tuple(run.trace)


@dataclass(slots=True)
class _Expansion:
    """The state of one expansion; ``trace`` is the list of choices made, random tokens left out."""

    grammar: Grammar
    rng: random.Random
    encoding: str
    where: str
    trace: list[int] = field(default_factory=list)
    shared: dict[str, str] = field(default_factory=dict)

    def parts(self, parts: _Parts, depth: int) -> str:
        if depth > MAX_DEPTH:
            raise UsageError(f"slots are nested deeper than {MAX_DEPTH}", where=self.where)
        return "".join(p if isinstance(p, str) else self.ref(p, depth) for p in parts)

    def ref(self, ref: _Ref, depth: int) -> str:
        if ref.optional and self.choose(2):
            return ""
        if ref.shared:
            if ref.name not in self.shared:
                self.shared[ref.name] = self.slot(ref.name, depth)
            text = self.shared[ref.name]
        else:
            text = self.slot(ref.name, depth)
        for step in ref.steps:
            if isinstance(step, str):
                text = FILTERS[step](self.encoded(text), self.rng)
            else:
                text *= step[0] + self.choose(step[1] - step[0] + 1)
        return text

    def slot(self, name: str, depth: int) -> str:
        if name not in self.grammar.slots:
            return BUILTINS[name](self.rng)
        choices = self.grammar.slots[name]
        return self.parts(choices[self.choose(len(choices))], depth + 1)

    def choose(self, n: int) -> int:
        self.trace.append(self.rng.randrange(n))
        return self.trace[-1]

    def encoded(self, text: str) -> bytes:
        try:
            return text.encode(self.encoding)
        except UnicodeEncodeError as err:
            raise UsageError(f"not {self.encoding}: {text[err.start]!r}", where=self.where) from err


def classes() -> list[str]:
    """The slugs that have a grammar, sorted; ``benign`` is among them where its file is present."""
    files = (resources.files(__package__) / "classes").iterdir()
    return sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml"))


@lru_cache(maxsize=64)
def load(slug: str) -> Grammar:
    """The grammar of a class.

    Raises:
        UsageError: no such class, or its file does not fit the format; names file and template.
    """
    if slug not in classes():
        hint = f"known: {', '.join(classes())}"
        raise UsageError(f"no grammar for class {slug!r}", hint=hint)
    file = resources.files(__package__) / "classes" / f"{slug}.toml"
    return parse(file.read_text("utf-8"), f"{slug}.toml")


def generate(
    slug: str, n: int, seed: int, *, templates: Collection[str] | None = None
) -> Iterator[Sample]:
    """Up to ``n`` payloads of a class, the same for the same arguments on every machine.

    Templates are drawn evenly. Payloads that differ from an earlier one only in random tokens are
    drawn again; a template that keeps repeating itself is left out, so that fewer than ``n`` come
    once a small choice of ``templates`` is used up.

    Raises:
        UsageError: see :func:`load` and :meth:`Grammar.expand`.
    """
    grammar = load(slug)
    live = sorted(grammar.templates if templates is None else set(templates))
    rng = random.Random(f"{slug}/{seed}")
    shapes: set[tuple[str, tuple[int, ...]]] = set()
    payloads: set[bytes] = set()
    while n > 0 and live:
        template = rng.choice(live)
        for _ in range(RETRIES):
            sample, trace = grammar._expand(template, rng)
            if (template, trace) not in shapes and sample.payload not in payloads:
                break
        else:
            live.remove(template)
            continue
        shapes.add((template, trace))
        payloads.add(sample.payload)
        n -= 1
        yield sample


def parse(toml: str, origin: str) -> Grammar:
    """Read a class file; every slot used must exist.

    Raises:
        UsageError: not TOML, an unknown key, slot or filter, a bad type, an id used twice.
    """
    try:
        data = tomllib.loads(toml)
    except ValueError as err:
        raise UsageError(f"not TOML: {err}", where=origin) from err
    slug, raw_slots, raw_templates = data.get("slug"), data.get("slots", {}), data.get("template")
    if not isinstance(slug, str) or not isinstance(raw_templates, list):
        raise UsageError("needs a slug and at least one [[template]]", where=origin)
    if unknown := set(data) - {"slug", "slots", "template"}:
        raise UsageError(f"unknown key {min(unknown)}", where=origin)
    names = set(raw_slots)
    slots = {}
    for name, choices in raw_slots.items():
        where = f"{origin}: slot {name}"
        if name in BUILTINS or not _NAME.fullmatch(name):
            raise UsageError("not a free slot name", where=where)
        if not _strings(choices) or not choices:
            raise UsageError("must be a list of texts", where=where)
        slots[name] = tuple(_parts(text, names, where) for text in choices)
    templates: dict[str, Template] = {}
    for raw in raw_templates:
        template = _template(raw, names, origin)
        if template.id in templates:
            raise UsageError("id used twice", where=f"{origin}: template {template.id}")
        templates[template.id] = template
    return Grammar(slug, slots, templates, origin)


def _template(raw: Any, names: set[str], origin: str) -> Template:
    where = f"{origin}: template {raw.get('id', '?')}"
    if unknown := set(raw) - _TEMPLATE_KEYS:
        raise UsageError(f"unknown key {min(unknown)}", where=where)
    if not isinstance(raw.get("id"), str) or not isinstance(raw.get("text"), str):
        raise UsageError("needs an id and a text", where=where)
    kind, places, params = raw.get("kind", "value"), raw.get("where", []), raw.get("param", [])
    if kind not in ("value", "http") or not _strings(places) or not _strings(params):
        raise UsageError("kind is value or http; where and param are lists of texts", where=where)
    parts = _parts(raw["text"], names, where)
    return Template(raw["id"], parts, kind, bool(raw.get("binary")), tuple(places), tuple(params))


def _strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _parts(text: str, names: set[str], where: str) -> _Parts:
    """Literal text and references in turn: ``re.split`` puts the captured marks at odd places."""
    pieces = _MARK.split(text)
    parts = (_ref(p, names, where) if i % 2 else p for i, p in enumerate(pieces))
    return tuple(p for p in parts if p)


def _ref(mark: str, names: set[str], where: str) -> _Ref:
    name = mark.removesuffix("?")
    steps: list[str | tuple[int, int]] = []
    while call := _CALL.fullmatch(name):
        if nest := _NEST.fullmatch(name):
            name = nest[1]
            steps.append((int(nest[2]), max(int(nest[2]), int(nest[3]))))
        elif call[1] in FILTERS:
            name = call[2]
            steps.append(call[1])
        else:
            raise UsageError(f"unknown filter {call[1]!r} in «{mark}»", where=where)
    shared = name.startswith("=")
    name = name.removeprefix("=")
    if name not in names and name not in BUILTINS:
        raise UsageError(f"unknown slot {name!r} in «{mark}»", where=where)
    return _Ref(name, tuple(reversed(steps)), mark.endswith("?"), shared)
