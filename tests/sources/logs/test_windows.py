"""Windows events in JSON: the shapes, the table of meanings, clocks."""

from __future__ import annotations

import json

import pytest
from events import GUID, START, flat, lines, one, read, security

from dragoman.sources.logs.windows import Rule, table

CHILD, PARENT = (f"a1b2c3d4-0001-0002-0003-0000000000{n:02x}" for n in (2, 1))
SHAPES = {
    "flat": flat(1, START),
    "winlogbeat 6": {
        "@timestamp": "2024-05-02T10:00:00.200Z",
        "log_name": "Microsoft-Windows-Sysmon/Operational",
        "source_name": "Microsoft-Windows-Sysmon",
        "event_id": 1,
        "computer_name": "PC1.example.test",
        "record_number": "7",
        "event_data": START,
    },
    "winlogbeat 8": {
        "@timestamp": "2024-05-02T10:00:00.200Z",
        "event": {"code": "1", "provider": "Microsoft-Windows-Sysmon"},
        "host": {"name": "PC1.example.test"},
        "winlog": {
            "channel": "Microsoft-Windows-Sysmon/Operational",
            "provider_name": "Microsoft-Windows-Sysmon",
            "event_id": "1",
            "record_id": 7,
            "computer_name": "PC1.example.test",
            "event_data": {"UtcTime": START["UtcTime"], "User": START["User"]},
        },
        "process": {
            "entity_id": START["ProcessGuid"],
            "pid": 4242,
            "executable": START["Image"],
            "command_line": START["CommandLine"],
            "parent": {
                "entity_id": START["ParentProcessGuid"],
                "pid": 1000,
                "executable": START["ParentImage"],
                "command_line": START["ParentCommandLine"],
            },
        },
    },
    "evtx_dump": {
        "Event": {
            "#attributes": {"xmlns": "http://schemas.microsoft.com/win/2004/08/events/event"},
            "System": {
                "Provider": {"#attributes": {"Name": "Microsoft-Windows-Sysmon"}},
                "EventID": 1,
                "TimeCreated": {"#attributes": {"SystemTime": "2024-05-02T10:00:00.2Z"}},
                "EventRecordID": 7,
                "Channel": "Microsoft-Windows-Sysmon/Operational",
                "Computer": "PC1.example.test",
            },
            "EventData": START,
        }
    },
    "attributes apart": {
        "Event": {
            "System": {
                "Provider_attributes": {"Name": "Microsoft-Windows-Sysmon"},
                "EventID": {"#text": "1"},
                "TimeCreated": {"@SystemTime": "2024-05-02T10:00:00.2Z"},
                "EventRecordID": "7",
                "Channel": "Microsoft-Windows-Sysmon/Operational",
                "Computer": "PC1.example.test",
            },
            "EventData": {"Data": [{"@Name": k, "#text": v} for k, v in START.items()]},
        }
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_tells_the_same_event(shape: str) -> None:
    event = one(lines(SHAPES[shape], SHAPES[shape]).splitlines(keepends=True)[0])
    assert (event.verb, event.object.kind, event.code) == ("start", "process", "sysmon/1")
    assert event.host == "pc1.example.test"
    assert event.time == 1_714_644_000_123_000_000
    actor, process = event.actor, event.object.process
    assert actor is not None
    assert process is not None
    assert (actor.id, actor.pid, actor.image) == (PARENT, 1000, "C:\\Windows\\explorer.exe")
    assert actor.command_line == "explorer.exe"
    assert (process.id, process.pid, process.parent) == (CHILD, 4242, PARENT)
    assert process.command_line == event.object.value == "child.exe --go"
    assert event.user == process.user == "LAB\\alice"
    assert event.where.event_ids == ("Microsoft-Windows-Sysmon/Operational/7",)
    assert event.what == "a process was created"


def test_an_export_of_elasticsearch_is_looked_through() -> None:
    row = {"_index": "w", "_id": "x", "_source": SHAPES["winlogbeat 8"]}
    assert one(lines(row)).object.name == "C:\\Tools\\child.exe"


def test_a_sysmon_array_without_provider_is_known_by_its_time() -> None:
    rows = [{"EventId": 1, **START}, {"EventId": 5, **START, "RuleName": None}]
    events, rejects, _ = read(json.dumps(rows, indent=1).encode())
    assert rejects == []
    assert [event.verb for event in events] == ["start", "end"]
    assert events[1].actor == events[1].object.process
    assert events[1].where.byte is not None


def test_connections_have_a_near_and_a_far_end() -> None:
    base = {
        **START,
        "Protocol": "tcp",
        "SourceIp": "192.0.2.5",
        "SourcePort": "50000",
        "DestinationIp": "198.51.100.7",
        "DestinationPort": "443",
    }
    out = one(lines(flat(3, base, Initiated="true")))
    assert (out.verb, out.object.name) == ("connect", "198.51.100.7:443")
    assert (out.object.remote, out.object.local) == ("198.51.100.7:443", "192.0.2.5:50000")
    into = one(lines(flat(3, base, Initiated="false")))
    assert (into.verb, into.object.remote) == ("accept", "192.0.2.5:50000")
    assert into.object.local == "198.51.100.7:443"


def test_a_reply_logged_from_its_sender_is_turned_round() -> None:
    base = {**START, "SourceIp": "192.0.2.5", "SourcePort": 53, "Initiated": "false"}
    event = one(lines(flat(3, base, DestinationIp="2001:db8::1", DestinationPort=50001)))
    assert (event.object.remote, event.object.local) == ("[2001:db8::1]:50001", "192.0.2.5:53")


def test_one_process_opens_another() -> None:
    data = {
        "UtcTime": START["UtcTime"],
        "SourceProcessGUID": GUID % 1,
        "SourceProcessId": "10",
        "SourceImage": "C:\\a.exe",
        "TargetProcessGUID": GUID % 2,
        "TargetProcessId": "20",
        "TargetImage": "C:\\lsass.exe",
        "GrantedAccess": "0x1010",
        "CallTrace": "x" * 5_000,
    }
    events, _, source = read(lines(flat(10, data)))
    event = events[0]
    assert event.actor is not None
    assert event.object.process is not None
    assert (event.verb, event.actor.pid, event.object.process.pid) == ("access", 10, 20)
    assert (event.object.value, len(event.fields["CallTrace"])) == ("0x1010", 1_024)
    assert source.skipped["text cut at limits.event_field"] == 1


@pytest.mark.parametrize(
    ("row", "verb", "kind", "name", "value"),
    [
        (flat(12, {**START, "EventType": "DeleteValue", "TargetObject": "HKLM\\x"}),
         "delete", "registry", "HKLM\\x", ""),
        (flat(13, {**START, "TargetObject": "HKLM\\Run\\x", "Details": "C:\\x.exe"}),
         "set", "registry", "HKLM\\Run\\x", "C:\\x.exe"),
        (flat(22, {**START, "QueryName": "c2.example.com", "QueryResults": "192.0.2.9;"}),
         "query", "dns", "c2.example.com", "192.0.2.9;"),
        (security(4720, TargetUserName="eve", TargetDomainName="LAB", SubjectUserName="adm"),
         "create", "user", "LAB\\eve", ""),
        (security(4732, TargetUserName="Administrators", MemberSid="S-1-5-21-1-2-3-1104"),
         "modify", "group", "Administrators", "S-1-5-21-1-2-3-1104"),
        (security(4697, ServiceName="svc", ServiceFileName="cmd /c x"),
         "install", "service", "svc", "cmd /c x"),
        (security(4698, TaskName="\\t", TaskContent="<Task/>"),
         "schedule", "task", "\\t", "<Task/>"),
        (security(4657, ObjectName="\\REGISTRY\\M", ObjectValueName="v", NewValue="1",
                  OperationType="%%1906"), "delete", "registry", "\\REGISTRY\\M\\v", "1"),
        (security(4663, ObjectName="C:\\f", ObjectType="File", AccessList="%%4417\r\n"),
         "write", "file", "C:\\f", ""),
        (security(5145, ShareName="\\\\*\\C$", RelativeTargetName="x.exe", AccessMask="0x2"),
         "access", "share", "\\\\*\\C$\\x.exe", "0x2"),
        (security(1102, SubjectUserName="eve"), "clear", "log", "", ""),
    ],
)  # fmt: skip
def test_meanings(row: dict[str, object], verb: str, kind: str, name: str, value: str) -> None:
    event = one(lines(row))
    assert (event.verb, event.object.kind) == (verb, kind)
    assert (event.object.name, event.object.value) == (name, value)
    assert event.what


def test_a_process_that_security_logs_has_a_pid_alone() -> None:
    row = security(
        4688, NewProcessId="0x1f4", NewProcessName="C:\\x.exe", CommandLine="x -y",
        ProcessId="0x64", ParentProcessName="C:\\p.exe", SubjectUserName="alice",
        SubjectDomainName="LAB", TargetUserName="-",
    )  # fmt: skip
    event = one(lines(row))
    assert event.actor is not None
    assert event.object.process is not None
    assert (event.actor.id, event.actor.pid, event.actor.image) == ("100", 100, "C:\\p.exe")
    assert (event.object.process.id, event.object.process.user) == ("500", "LAB\\alice")


def test_logons() -> None:
    row = security(
        4625, TargetUserName="bob", TargetDomainName="LAB", LogonType="3", IpAddress="192.0.2.7",
        IpPort="50123", ProcessId="0x0", ProcessName="-",
    )  # fmt: skip
    event = one(lines(row))
    assert (event.verb, event.outcome, event.actor) == ("logon", "failure", None)
    assert (event.object.name, event.object.value) == ("LAB\\bob", "3")
    assert event.object.remote == "192.0.2.7:50123"


def test_powershell_tells_of_itself_in_text() -> None:
    message = (
        "Pipeline execution details for command line: Get-Date.\r\n\r\nContext Information:\r\n"
        '\tUserId=LAB\\alice\r\n\tHostApplication="C:\\ps\\powershell.exe" -nop -c Get-Date\r\n'
        "\tCommandLine=Get-Date\r\n\tScriptName=C:\\s.ps1\r\n"
    )
    row = security(800, Message=message)
    row |= {"SourceName": "PowerShell", "Channel": "Windows PowerShell"}
    event = one(lines(row))
    assert event.actor is not None
    assert (event.verb, event.object.name, event.object.value) == ("run", "C:\\s.ps1", "Get-Date")
    assert event.actor.image == "C:\\ps\\powershell.exe"
    assert (event.actor.user, event.actor.command_line[-11:]) == ("LAB\\alice", "-c Get-Date")


def test_an_unknown_event_keeps_all_its_fields() -> None:
    row = security(64_000, Answer="42", Empty="-", Message="Something happened.")
    event = one(lines(row))
    assert (event.verb, event.object.kind, event.code) == ("other", "other", "security/64000")
    assert event.fields == {"Answer": "42", "Message": "Something happened."}


def test_the_local_clock_of_a_file_is_learned_from_sysmon() -> None:
    rows = [
        {**security(4634, TargetUserName="a"), "TimeCreated": "2024-05-02 06:00:00.5"},
        flat(5, START, TimeCreated="2024-05-02 06:00:00.200"),
    ]
    for row in rows:
        del row["@timestamp"]
    events, _, _ = read(lines(*rows))
    assert events[0].time == 1_714_644_000_500_000_000


def test_the_local_clock_is_learned_from_the_time_of_receipt() -> None:
    row = security(4634, TargetUserName="a", EventTime="2024-05-02 05:59:58")
    row |= {"EventReceivedTime": "2024-05-02 06:00:00", "@timestamp": "2024-05-02T10:00:00.4Z"}
    events, _, _ = read(lines(row, row))
    assert events[0].time == 1_714_643_998_000_000_000


def test_rows_that_are_no_events_are_rejected() -> None:
    timeless = {k: v for k, v in security(4634).items() if k != "@timestamp"}
    data = lines(security(4634), {"a": 1}, [1], timeless, {**security(1), "EventID": "x"}) + b"{\n"
    events, rejects, _ = read(data)
    assert len(events) == 1
    assert [reject.where.line for reject in rejects] == [2, 3, 4, 5, 6]
    assert rejects[2].reason == "a Windows event without a time"


def test_the_table_is_whole() -> None:
    known = table()
    families = {family for family, _ in known.rules}
    assert set(known.providers.values()) == families
    assert set(known.channels.values()) <= families
    for rule in known.rules.values():
        assert isinstance(rule, Rule)
        assert rule.what
        assert bool(rule.verbs) == bool(rule.verb_by)
        assert bool(rule.kinds) == bool(rule.kind_by)
