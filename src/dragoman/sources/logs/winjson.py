"""Windows events as JSON, in the shapes people have: flat (NXLog, OTRF, Azure, `Get-WinEvent`),
winlogbeat 6 and later, and the nested form of `evtx_dump` and Velociraptor; row by row.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from ...opening.jsonio import Row, loads
from ...opening.stream import Stream
from ...records import Rejected, Where
from .build import Bounded, Records, Skipped, at, json_rows, number, plain
from .times import SECOND, ns
from .windows import Record, event, named

_HEAD = 1 << 18  # bytes searched for the local clock's distance from UTC
_QUARTER = 900 * SECOND
_SYSTEM_WORDS = """
@timestamp @version @metadata Category Channel Computer EventID EventId EventIDQualifiers
EventReceivedTime EventRecordID EventTime ExecutionProcessID Guid Hostname Id Keywords Level
LevelDisplayName LogName LoggerProcessId MachineName Message Opcode OpcodeValue Provider
ProviderGuid ProviderId ProviderName RecordId RecordNumber Severity SeverityValue
SourceModuleName SourceModuleType SourceName SystemTime Task TaskDisplayName ThreadID
TimeCreated TimeGenerated TimeCollected TenantId SourceSystem SourceComputerId EventOriginId
EventSourceName ManagementGroupName MG _ResourceId
UserData Version _id _index host message port tags timestamp type winlog AccountType
Domain AccountName UserID ERROR_EVT_UNRESOLVED EventTypeOrignal
"""
_SYSTEM = frozenset(_SYSTEM_WORDS.split())
_PROVIDERS = ("SourceName", "ProviderName", "Provider", "EventSourceName")
_FLAT_IDS = ("EventID", "EventId", "Id", "event_id")
_ECS = {  # where winlogbeat's modules move a field, for Sysmon and Security
    "ProcessGuid": "process.entity_id",
    "ProcessId": "process.pid",
    "Image": "process.executable",
    "CommandLine": "process.command_line",
    "ParentProcessGuid": "process.parent.entity_id",
    "ParentProcessId": "process.parent.pid",
    "ParentImage": "process.parent.executable",
    "ParentCommandLine": "process.parent.command_line",
    "NewProcessId": "process.pid",
    "NewProcessName": "process.executable",
    "TargetFilename": "file.path",
    "ImageLoaded": "file.path",
    "PipeName": "file.name",
    "TargetObject": "registry.path",
    "Details": "registry.data.strings",
    "SourceIp": "source.ip",
    "SourcePort": "source.port",
    "DestinationIp": "destination.ip",
    "DestinationPort": "destination.port",
    "Protocol": "network.transport",
    "QueryName": "dns.question.name",
    "TargetUserName": "user.name",
    "TargetDomainName": "user.domain",
    "IpAddress": "source.ip",
    "IpPort": "source.port",
}


def read(stream: Stream, skipped: Skipped) -> Records:
    """Every event of a file of JSON."""
    bounded = Bounded(stream.limits, skipped)
    ahead = _clock(stream)
    for row in json_rows(stream):
        if isinstance(row, Rejected):
            yield row
            continue
        record = to_record(row.value, ahead)
        if isinstance(record, str):
            yield Rejected(row.where, record, row.raw)
        else:
            yield event(record, bounded, row.id, _place(row, record))


def _place(row: Row, record: Record) -> Where:
    native = (f"{record.channel}/{record.number}"[:128],) if record.number else ()
    return Where(row.where.path, row.where.line, row.where.byte, native)


def to_record(row: dict[str, Any], ahead: int = 0) -> Record | str:
    """One JSON object as a record, or why it is none. ``ahead``: ns from the local clock to UTC."""
    if isinstance(row.get("winlog"), dict):
        made = _winlog(row)
    elif isinstance(row.get("Event"), dict):
        made = nested(row["Event"])
    elif isinstance(row.get("System"), dict):
        made = nested(row)
    elif "log_name" in row or "computer_name" in row:
        made = _winlogbeat(row)
    else:
        made = _flat(row, ahead)
    if made is None:
        keys = ", ".join(sorted(map(str, row))[:12])[:160]
        return f"not a Windows event: no event id; its keys: {keys}"
    return made if made.time else "a Windows event without a time"


def is_windows(row: dict[str, Any]) -> bool:
    """Whether a JSON object is a Windows event in one of the shapes."""
    if isinstance(row.get("winlog"), dict) or "log_name" in row:
        return True
    inner = row.get("Event", row)
    if isinstance(inner, dict) and isinstance(inner.get("System"), dict):
        return "EventID" in inner["System"]
    if not any(number(row.get(key)) is not None for key in _FLAT_IDS):
        return False
    signs = ("Channel", "LogName", "UtcTime", "EventTime", *_PROVIDERS)
    return any(key in row for key in signs)


def _clock(stream: Stream) -> int:
    """How far the file's local clock is behind UTC, in ns; 0 if the first records do not tell.

    Sysmon logs ``UtcTime`` beside the collector's own time; NXLog the time of receipt beside
    ``@timestamp``. The most frequent distance in quarters of an hour counts.
    """
    votes: Counter[int] = Counter()
    for line in stream.peek(_HEAD).split(b"\n")[:-1]:
        sure = b'"UtcTime"' in line
        if len(line) > 65_536 or not (sure or b'"EventReceivedTime"' in line):
            continue
        try:
            row = loads(line, stream.limits)
        except ValueError:
            continue
        if isinstance(row, dict):
            utc = ns(row.get("UtcTime")) if sure else ns(row.get("@timestamp"))
            local = _local(row) if sure else ns(row.get("EventReceivedTime"))
            if utc and local:
                votes[round((utc - local) / _QUARTER) * _QUARTER] += 10 if sure else 1
    return votes.most_common(1)[0][0] if votes else 0


def _local(row: dict[str, Any]) -> int | None:
    """The time of a flat record by the clock of the host that wrote it."""
    for key in ("EventTime", "TimeCreated", "SystemTime"):
        if time := ns(row.get(key)):
            return time
    return None


def _flat(row: dict[str, Any], ahead: int) -> Record | None:
    event = None
    for key in _FLAT_IDS:
        if (event := number(row.get(key))) is not None:
            break
    if event is None:
        return None
    provider = ""
    for key in _PROVIDERS:
        if provider := plain(row.get(key)):
            break
    channel = plain(row.get("Channel") or row.get("LogName"))
    if not provider and not channel and "UtcTime" in row:
        provider = "Microsoft-Windows-Sysmon"
    time = ns(row.get("UtcTime"))
    if time is None and (local := _local(row)):
        time = local + ahead
    for key in ("@timestamp", "timestamp", "TimeGenerated"):
        time = time or ns(row.get(key))
    account, domain = plain(row.get("AccountName")), plain(row.get("Domain"))
    return Record(
        provider,
        channel,
        event,
        time or 0,
        plain(row.get("Hostname") or row.get("Computer") or row.get("MachineName")),
        plain(row.get("RecordNumber") or row.get("EventRecordID") or row.get("RecordId")),
        row,
        number(row.get("ExecutionProcessID")) or number(row.get("LoggerProcessId")),
        row.get("Message") or row.get("message"),
        f"{domain}\\{account}" if domain and account else account,
        _SYSTEM,
    )


def _winlogbeat(row: dict[str, Any]) -> Record | None:
    """winlogbeat before 7."""
    if number(row.get("event_id")) is None:
        return None
    data = {**_dict(row, "user_data"), **_dict(row, "event_data")}
    return Record(
        plain(row.get("source_name")),
        plain(row.get("log_name")),
        number(row["event_id"]) or 0,
        ns(data.get("UtcTime")) or ns(row.get("@timestamp")) or 0,
        plain(row.get("computer_name")),
        plain(row.get("record_number")),
        data,
        number(row.get("process_id")),
        row.get("message"),
        _account(row.get("user")),
    )


def _winlog(row: dict[str, Any]) -> Record | None:
    """winlogbeat 7 and later, in the Elastic Common Schema."""
    log = row["winlog"]
    code = log.get("event_id", _dict(row, "event").get("code"))
    if number(code) is None:
        return None
    data = {**_dict(log, "user_data"), **_dict(log, "event_data")}
    for name, place in _ECS.items():
        if name not in data and (value := _at(row, place)) is not None:
            data[name] = value
    return Record(
        plain(log.get("provider_name") or _dict(row, "event").get("provider")),
        plain(log.get("channel")),
        number(code) or 0,
        ns(data.get("UtcTime")) or ns(row.get("@timestamp")) or 0,
        plain(log.get("computer_name") or _at(row, "host.name")),
        plain(log.get("record_id")),
        data,
        number(_at(log, "process.pid")),
        row.get("message"),
        _account(log.get("user")),
    )


def nested(top: dict[str, Any]) -> Record | None:
    """The nested form of an event's XML: ``System``, and ``EventData`` or ``UserData``."""
    system = top["System"] if isinstance(top.get("System"), dict) else {}
    code = system.get("EventID")
    if isinstance(code, dict):
        code = code.get("#text", code.get("Value"))
    if number(code) is None:
        return None
    data: dict[str, Any] = {}
    inner = _dict(top, "UserData")
    for part in inner.values():
        data.update(named(part) if isinstance(part, dict) else {})
    data.update(named(_listed(_dict(top, "EventData"))))
    created = _attribute(system, "TimeCreated", "SystemTime")
    pid = number(_attribute(system, "Execution", "ProcessID"))
    return Record(
        plain(_attribute(system, "Provider", "Name")),
        plain(system.get("Channel")),
        number(code) or 0,
        ns(data.get("UtcTime")) or ns(created) or 0,
        plain(system.get("Computer")),
        plain(system.get("EventRecordID")),
        data,
        pid,
        top.get("Message") or _dict(top, "RenderingInfo").get("Message"),
        plain(_attribute(system, "Security", "UserID")),
    )


def _listed(data: dict[str, Any]) -> dict[str, Any]:
    """Fields that a converter left as a list of named elements, by their names."""
    items = data.get("Data")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return data
    pairs = ((plain(i.get("@Name") or i.get("Name")), i.get("#text", i.get("$"))) for i in items)
    return {name: text for name, text in pairs if name}


def _attribute(system: dict[str, Any], element: str, name: str) -> Any:
    """An XML attribute as one of the converters writes it."""
    for key in (element, f"{element}_attributes"):
        holder = system.get(key)
        if isinstance(holder, dict):
            for inner in (holder.get("#attributes"), holder.get("@attributes"), holder):
                if isinstance(inner, dict) and name in inner:
                    return inner[name]
            if f"@{name}" in holder:
                return holder[f"@{name}"]
    return None


def _dict(row: dict[str, Any], key: str) -> dict[str, Any]:
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def _at(row: dict[str, Any], place: str) -> Any:
    """The value at a dotted place, nested or flat."""
    return row[place] if place in row else at(row, place)


def _account(user: Any) -> str:
    if not isinstance(user, dict):
        return plain(user)
    domain, name = plain(user.get("domain")), plain(user.get("name") or user.get("identifier"))
    return f"{domain}\\{name}" if domain and name else name
