"""Research formats: CDM 18 and 20, OpTC eCAR, Endgame's normalised events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from events import lines, one, read

from dragoman.config import Limits

TIME = 1_714_644_000_123_456_789
HOST, PROC, KID, FILE, FLOW, USER = (f"0000000{n}-0000-0000-0000-00000000000A" for n in range(1, 7))
ZERO = "00000000-0000-0000-0000-000000000000"


def datum(kind: str, version: int = 18, **value: Any) -> dict[str, Any]:
    name = f"com.bbn.tc.schema.avro.cdm{version}.{kind}"
    return {"CDMVersion": str(version), "datum": {name: value}, "source": "SOURCE_TEST"}


def ref(uuid: str, version: int = 18) -> dict[str, str]:
    return {f"com.bbn.tc.schema.avro.cdm{version}.UUID": uuid}


def event(type: str, about: str, second: str = ZERO, **more: Any) -> dict[str, Any]:
    told = {"uuid": FILE, "type": f"EVENT_{type}", "hostId": HOST, "timestampNanos": TIME}
    told |= {"subject": ref(PROC), "predicateObject": ref(about), "predicateObject2": ref(second)}
    return datum("Event", **(told | {"predicateObjectPath": None, "properties": None} | more))


BASE = {"hostId": HOST, "permission": None, "epoch": None}
KNOWN = [
    datum("Host", uuid=HOST, hostName="Lab-1"),
    datum("Principal", uuid=USER, userId="1000", username={"string": "alice"}),
    datum("Subject", uuid=PROC, type="SUBJECT_PROCESS", cid=10, parentSubject=None, hostId=HOST,
          localPrincipal=USER, cmdLine={"string": "sh -c x"},
          properties={"map": {"path": "/bin/sh"}}),
    datum("Subject", uuid=KID, cid=11, parentSubject=ref(PROC), localPrincipal=USER,
          cmdLine=None, properties={"map": {"name": "curl"}}),
    datum("FileObject", uuid=FILE, type="FILE_OBJECT_BLOCK",
          baseObject={**BASE, "properties": {"map": {"filename": "/etc/shadow"}}}),
    datum("NetFlowObject", uuid=FLOW, localAddress="192.0.2.1", localPort=5000,
          remoteAddress={"string": "198.51.100.2"}, remotePort={"int": 443},
          baseObject={**BASE, "properties": None}),
]  # fmt: skip


def test_cdm_events_use_what_was_defined() -> None:
    rows = [
        event("READ", FILE), event("SENDTO", FLOW), event("WRITE", FLOW), event("FORK", KID),
        event("EXECUTE", FILE, subject=ref(KID)), event("EXIT", ZERO), event("CLOSE", FILE),
    ]  # fmt: skip
    events, rejects, source = read(lines(*KNOWN, *rows))
    assert rejects == []
    assert [e.verb for e in events] == ["read", "send", "send", "fork", "start", "end"]
    assert [e.object.name for e in events][:2] == ["/etc/shadow", "198.51.100.2:443"]
    assert events[1].object.local == "192.0.2.1:5000"
    first = events[0]
    assert first.actor is not None
    assert (first.host, first.time, first.user) == ("lab-1", TIME, "alice")
    assert (first.actor.pid, first.actor.image, first.actor.command_line) == (
        *(10, "/bin/sh", "sh -c x"),
    )
    forked, ran = events[3].object.process, events[4]
    assert forked is not None
    assert ran.object.process is not None
    assert ran.actor is not None
    assert forked.parent == ran.actor.id == first.actor.id
    assert (ran.object.process.id, ran.object.process.image) == (forked.id, "/etc/shadow")
    assert source.skipped["definition of a Subject"] == 2
    assert source.skipped["event of type CLOSE"] == 1


def test_cdm_what_only_the_event_tells() -> None:
    told = {"properties": {"map": {"exec": "sshd", "address": "192.0.2.7", "port": "22"}}}
    flow = one(lines(event("CONNECT", FLOW, **told)))
    assert flow.actor is not None
    assert (flow.object.kind, flow.object.name, flow.actor.image) == (
        *("socket", "192.0.2.7:22", "sshd"),
    )
    path = {"predicateObjectPath": {"string": "/tmp/x"}}
    assert one(lines(event("UNLINK", FILE, **path))).object.name == "/tmp/x"
    moved = event("RENAME", FILE, KID, **path, predicateObject2Path={"string": "/tmp/y"})
    assert one(lines(moved)).object.value == "/tmp/y"


def test_cdm_20() -> None:
    record = datum("Event", 20, uuid=FILE, type="EVENT_OPEN", timestampNanos=TIME,
                   subject=ref(PROC, 20), predicateObject=ref(FILE, 20),
                   names={"array": ["open"]}, properties={"map": {}})  # fmt: skip
    record |= {"hostId": HOST, "type": "RECORD_EVENT"}
    made = one(lines(record))
    assert (made.verb, made.host, made.fields["names"]) == ("open", HOST.lower(), "open")


def test_cdm_faults() -> None:
    old = {"CDMVersion": "13", "datum": {"com.bbn.tc.schema.avro.Event": {}}}
    timeless = event("READ", FILE, timestampNanos=0)
    odd = {"CDMVersion": "18", "datum": {"x.Event": [1]}}
    two = {"CDMVersion": "18", "datum": {"x.Event": {}, "y": {}}}
    _, rejects, _ = read(lines(event("READ", FILE), old, timeless, odd, two))
    assert [reject.where.line for reject in rejects] == [2, 3, 4, 5]
    assert "CDM version 13" in rejects[0].reason


def test_cdm_forgets_the_oldest_entities() -> None:
    many = [datum("FileObject", uuid=f"{n:036x}", baseObject=BASE) for n in range(5)]
    events, _, _ = read(lines(*KNOWN, *many, event("READ", FILE)), limits=Limits(log_entities=3))
    assert (events[0].object.kind, events[0].object.name) == ("other", FILE.lower())


def ecar(object: str, action: str, **properties: Any) -> dict[str, Any]:
    return {
        "action": action, "object": object, "actorID": PROC, "objectID": KID, "id": USER,
        "hostname": "SysClient1.example.test", "pid": 20, "ppid": 10, "tid": 1,
        "principal": "LAB\\alice", "timestamp": "2024-05-02T06:00:00.123-04:00",
        "properties": properties,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "verb", "kind", "name", "value"),
    [
        (ecar("FILE", "RENAME", file_path="a", new_path="b"), "rename", "file", "a", "b"),
        (
            ecar("REGISTRY", "EDIT", key="\\R", value="v", data="1"),
            "set",
            "registry",
            "\\R\\v",
            "1",
        ),
        (ecar("MODULE", "LOAD", module_path="x.dll"), "load", "module", "x.dll", ""),
        (ecar("SERVICE", "CREATE", name="s", path="x.exe"), "install", "service", "s", "x.exe"),
        (ecar("SHELL", "COMMAND", payload="dir"), "run", "script", "", "dir"),
        (ecar("THREAD", "REMOTE_CREATE", tgt_pid="9", src_pid="8"), "inject", "thread", "", ""),
        (ecar("USER_SESSION", "LOGIN", user="bob"), "logon", "session", "bob", ""),
        (ecar("WEATHER", "RAIN", mm=3), "other", "other", "", ""),
    ],
)
def test_ecar(row: dict[str, Any], verb: str, kind: str, name: str, value: str) -> None:
    made = one(lines(row))
    assert (made.verb, made.object.kind, made.object.name, made.object.value) == (
        *(verb, kind, name, value),
    )
    assert (made.time, made.host) == (1_714_644_000_123_000_000, "sysclient1.example.test")


def test_ecar_processes_and_flows() -> None:
    told = {"image_path": "b.exe", "parent_image_path": "a.exe", "command_line": "b -x"}
    made = one(lines(ecar("PROCESS", "CREATE", **told)))
    assert made.actor is not None
    assert made.object.process is not None
    assert (made.actor.id, made.actor.pid, made.actor.image) == (PROC.lower(), 10, "a.exe")
    assert (made.object.process.id, made.object.process.parent) == (KID.lower(), PROC.lower())
    assert made.object.process.command_line == "b -x"
    ends = {"src_ip": "192.0.2.1", "src_port": "9", "dest_ip": "192.0.2.2", "dest_port": "80"}
    out = one(lines(ecar("FLOW", "START", direction="outbound", **ends)))
    assert (out.verb, out.object.remote) == ("connect", "192.0.2.2:80")
    into = one(lines(ecar("FLOW", "MESSAGE", direction="inbound", **ends)))
    assert (into.verb, into.object.remote) == ("receive", "192.0.2.1:9")


def eql(type: str, **more: Any) -> dict[str, Any]:
    return {
        "event_type": type, "timestamp": 133_591_176_001_230_000, "pid": 20, "ppid": 10,
        "process_name": "b.exe", "process_path": "C:\\b.exe", "unique_pid": f"{{{KID}}}",
        "unique_ppid": f"{{{PROC}}}", **more,
    }  # fmt: skip


def test_eql() -> None:
    rows = [
        eql("process", subtype="create", command_line="b -x", parent_process_name="a.exe"),
        eql("process", subtype="terminate"),
        eql("registry", registry_path="HKLM\\x", registry_value="x"),
        eql("network", subtype="incoming", source_address="192.0.2.1", source_port=9,
            destination_address="192.0.2.2", destination_port=80),
        eql("image_load", image_path="x.dll"),
        eql("weather"),
    ]  # fmt: skip
    events, rejects, _ = read(json.dumps(rows, indent=2).encode())
    assert rejects == []
    assert [e.verb for e in events] == ["start", "end", "set", "accept", "load", "other"]
    assert events[0].time == 1_714_644_000_123_000_000
    assert events[0].actor is not None
    assert (events[0].actor.id, events[0].actor.image) == (PROC.lower(), "a.exe")
    assert events[3].object.remote == "192.0.2.1:9"
    _, rejects, _ = read(lines(eql("file"), {"event_type": "file"}, eql("file", timestamp=1)))
    assert len(rejects) == 2
