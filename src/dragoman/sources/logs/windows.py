"""One Windows event, from whatever file, -> ``Event``, by the table in `windows.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

from ...records import Event, Object, ObjectKind, Process, Verb, Where
from .build import Bounded, endpoint, guid, host, number, plain
from .message import message_data

Names = tuple[str, ...]
_PROCESSES = ("process", "thread", "memory")
_SUBJECT = ("SubjectDomainName+SubjectUserName", "User")
_CONTEXT = {  # what PowerShell tells of itself in the text of its events: the name of the field
    "HostApplication": "HostApplication",
    "CommandName": "CommandName",
    "CommandLine": "CommandLine",
    "ScriptName": "ScriptName",
    "ProviderName": "ProviderName",
    "EngineVersion": "EngineVersion",
    "User": "ContextUser",
    "UserId": "ContextUser",
}
_PROGRAM = re.compile(r'^"([^"]+)"|^(\S+?\.exe)\b|^(\S+)', re.IGNORECASE)
_CONTEXT_CHARS = 65_536  # of a PowerShell message searched for its context


class Record(NamedTuple):
    """One event as its file tells it. ``time`` in ns; ``data``: its own fields by name."""

    provider: str
    channel: str
    event: int
    time: int
    host: str
    number: str
    data: Mapping[str, Any]
    pid: int | None = None  # of the process that logged it
    message: Any = None
    user: str = ""
    hidden: frozenset[str] = frozenset()  # names in ``data`` that are told by the other parts


class Role(NamedTuple):
    """The fields that may hold each part of a process."""

    guid: Names = ()
    pid: Names = ()
    image: Names = ()
    command_line: Names = ()
    user: Names = ()
    parent: Names = ()


class Rule(NamedTuple):
    """A line of the table; `windows.toml` explains each part."""

    verb: Verb = "other"
    kind: ObjectKind = "other"
    what: str = ""
    actor: Role | None = None
    process: Role | None = None
    name: Names = ()
    value: Names = ()
    remote: Names = ()
    local: Names = ()
    user: Names = _SUBJECT
    verb_by: str = ""
    verbs: Mapping[str, Verb] = {}
    kind_by: str = ""
    kinds: Mapping[str, ObjectKind] = {}
    fails: bool = False
    used: frozenset[str] = frozenset()  # fields that are told by the event's own parts


class Table(NamedTuple):
    """The whole table: families by provider and by channel, rules by family and event id."""

    providers: Mapping[str, str]
    channels: Mapping[str, str]
    rules: Mapping[tuple[str, int], Rule]


@cache
def table() -> Table:
    """The table, read once."""
    parts = tomllib.loads((files(__package__) / "windows.toml").read_text("utf-8"))
    providers, channels = parts.pop("providers"), parts.pop("channels")
    roles = {
        name: Role(**{part: tuple(fields) for part, fields in role.items()})
        for name, role in parts.pop("roles").items()
    }
    rules = {
        (family, int(event)): _rule(line, roles)
        for family, lines in parts.items()
        for event, line in lines.items()
    }
    return Table(providers, channels, rules)


def _rule(line: dict[str, Any], roles: Mapping[str, Role]) -> Rule:
    out: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in line.items()
    }
    for part in ("actor", "process"):
        if part in out:
            out[part] = roles[out[part]]
    rule = Rule(**out)
    told = [rule.name, rule.value, rule.remote, rule.local, rule.user]
    told += [names for role in (rule.actor, rule.process) if role for names in role]
    single = {part for names in told for name in names for part in name.split("+")}
    return rule._replace(used=frozenset(single))


_UNKNOWN = Rule()


def event(record: Record, bounded: Bounded, id: str, where: Where) -> Event:
    """The event that a record stands for; one without a rule becomes verb ``other``."""
    family, code, rule = _rule_of(record.provider, record.channel, record.event)
    data = record.data
    if record.message and rule.used.isdisjoint(data):
        data = {**data, **message_data(plain(record.message))}
    if family in ("powershell", "powershell_engine"):
        data = _with_context(record)
    get = _Fields(data, record.pid, bounded)
    verb, kind = _decided(rule, data)
    thing = Object(
        kind,
        get.first(rule.name),
        get.first(rule.value),
        process=get.process(rule.process) if rule.process and kind in _PROCESSES else None,
    )
    if rule.remote or rule.local:
        thing = _with_ends(thing, rule, verb, get)
    fields = bounded.fields(data, rule.used, record.hidden)
    if not thing.name and record.message and len(fields) < bounded.limits.event_fields:
        fields["Message"] = plain(record.message)[: bounded.limits.event_field]
    return Event(
        id,
        record.time,
        host(record.host),
        verb,
        thing,
        get.process(rule.actor) if rule.actor else None,
        code,
        rule.what,
        where,
        get.first(rule.user) or ("" if family == "sysmon" else record.user),
        _outcome(rule, data),
        fields,
    )


@lru_cache(maxsize=4096)
def _rule_of(provider: str, channel: str, event: int) -> tuple[str, str, Rule]:
    """Family, code and rule of an event id."""
    known = table()
    family = known.providers.get(provider.lower(), "")
    if not provider:
        family = known.channels.get(channel.lower(), "")
    code = f"{family or provider or channel or 'windows'}/{event}"[:128]
    return family, code, known.rules.get((family, event), _UNKNOWN)


def _decided(rule: Rule, data: Mapping[str, Any]) -> tuple[Verb, ObjectKind]:
    """Verb and kind: those of the rule, unless a field decides."""
    verb, kind = rule.verb, rule.kind
    if rule.verb_by:
        told = plain(data.get(rule.verb_by))
        verb = next((v for key, v in rule.verbs.items() if key in told), verb)
    if rule.kind_by:
        told = plain(data.get(rule.kind_by))
        kind = next((k for key, k in rule.kinds.items() if key in told), kind)
    return verb, kind


def _outcome(rule: Rule, data: Mapping[str, Any]) -> Any:
    if rule.fails:
        return "failure"
    if data.get("EventType") == "AUDIT_FAILURE" or data.get("Keywords") == "0x8010000000000000":
        return "failure"
    status = number(data.get("Status")) if rule.kind in ("ticket", "credential") else None
    return "failure" if status else ""


def _with_ends(thing: Object, rule: Rule, verb: Verb, get: _Fields) -> Object:
    """The two ends of a connection. What is accepted comes from the source, but where that has the
    service port: a reply, which Sysmon logs from its sender."""
    far = [get.first((name,)) for name in rule.remote] + ["", ""]
    near = [get.first((name,)) for name in rule.local] + ["", ""]
    if verb == "accept" and (number(near[1]) or 0) > (number(far[1]) or 0):
        far, near = near, far
    remote, local = endpoint(far[0], far[1]), endpoint(near[0], near[1])
    if rule.kind == "socket":
        return Object("socket", remote or local, thing.value, remote, local)
    return Object(thing.kind, thing.name, thing.value, remote, local, thing.process)


class _Fields:
    """Looks up the parts of an event in its fields."""

    __slots__ = ("bounded", "data", "pid")

    def __init__(self, data: Mapping[str, Any], pid: int | None, bounded: Bounded) -> None:
        self.data, self.pid, self.bounded = data, pid, bounded

    def first(self, names: Names) -> str:
        """The first of the fields that is filled."""
        get = self.data.get
        for name in names:
            value = get(name)
            if value is not None:
                if text := self.bounded.text(value):
                    return text
            elif "+" in name:
                head, _, tail = name.partition("+")
                if last := plain(get(tail)):
                    start = plain(get(head))
                    return self.bounded.text(f"{start}\\{last}" if start else last)
        return ""

    def process(self, role: Role) -> Process | None:
        """The process in a role; None if nothing is known of it."""
        get = self.data.get
        key, pid = "", None
        for name in role.guid:
            if key := guid(get(name)):
                break
        for name in role.pid:
            pid = self.pid if name == "LoggerProcessId" else number(get(name))
            if pid is not None:
                break
        image = self.first(role.image)
        if pid == 0 and not key and not image:
            return None
        line = self.first(role.command_line) if role.command_line else ""
        user = self.first(role.user) if role.user else ""
        parent = guid(get(role.parent[0])) if role.parent else ""
        if not key:
            if pid is not None:
                key = str(pid)
            elif not image and not line:
                return None
        return Process(key, pid, image, line, user, parent)


def _with_context(record: Record) -> dict[str, Any]:
    """PowerShell writes ``Key = value`` lines into one of its fields or the message: read them."""
    data = dict(record.data)
    told = plain(data.get("ContextInfo")) or plain(data.get("Data")) or plain(record.message)
    for line in told[:_CONTEXT_CHARS].split("\n"):
        key, found, value = line.partition("=")
        name = _CONTEXT.get(key.replace(" ", "").strip()) if found else None
        if name is not None and (text := value.strip()):
            data.setdefault(name, text)
    program = _PROGRAM.match(plain(data.get("HostApplication")))
    if program:
        data["HostApplicationPath"] = next(filter(None, program.groups()))
    return data


def named(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Nested fields under joined names, attributes by their own: ``Certificate.subjectName``."""
    out: dict[str, Any] = {}
    for name, value in parts.items():
        if not isinstance(value, dict):
            out[name] = value
            continue
        for inner, item in value.items():
            if inner == "#text":
                out[name] = item
            elif inner in ("#attributes", "@attributes") and isinstance(item, dict):
                out.update({f"{name}.{key}": leaf for key, leaf in item.items() if key != "xmlns"})
            elif not isinstance(item, dict):
                out[f"{name}.{inner}"] = item
    return out
