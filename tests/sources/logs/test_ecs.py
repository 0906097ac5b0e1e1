"""Auditbeat and other events in the Elastic Common Schema."""

from __future__ import annotations

from typing import Any

from events import lines, one, read


def beat(call: str, **more: Any) -> dict[str, Any]:
    """A system call as auditbeat 6 tells of it."""
    data = {"syscall": call, "a0": "5", "a1": "0", "a2": "0", "exit": "5", **more.pop("data", {})}
    return {
        "@timestamp": "2024-05-02T10:00:00.123Z",
        "beat": {"hostname": "Web1"},
        "user": {"uid": "1000", "auid": "1000", "name_map": {"uid": "alice"}},
        "process": {"pid": "20", "ppid": "10", "name": "curl", "exe": "/usr/bin/curl", "cwd": "/w"},
        "auditd": {"result": "success", "sequence": 77, "data": data, **more.pop("auditd", {})},
        **more,
    }


def test_calls_and_what_they_were_done_to() -> None:
    paths = {"paths": [{"name": "notes", "nametype": "CREATE"}]}
    rows = [
        beat("open", auditd=paths),
        beat("write"),
        beat("connect", destination={"ip": "192.0.2.9", "port": "80"}, data={"a0": "6"}),
        beat("sendto", data={"a0": "6"}),
        beat("close"),
    ]
    events, rejects, source = read(lines(*rows))
    assert rejects == []
    assert [event.verb for event in events] == ["create", "write", "connect", "send"]
    names = [event.object.name for event in events]
    assert names == ["/w/notes", "/w/notes", "192.0.2.9:80", "192.0.2.9:80"]
    assert (events[0].host, events[0].user) == ("web1", "alice")
    assert events[0].where.event_ids == ("77",)
    assert source.skipped == {"system call close": 1}


def test_a_program_in_the_newer_form() -> None:
    row = {
        "@timestamp": "2024-05-02T10:00:00.123Z",
        "host": {"name": "web1"},
        "event": {"module": "auditd", "action": "executed"},
        "user": {"name": "alice"},
        "process": {
            "pid": 20,
            "parent": {"pid": 10},
            "executable": "/usr/bin/id",
            "args": ["id", "-u"],
        },
        "auditd": {"message_type": "syscall", "result": "fail", "data": {"syscall": "setuid"}},
    }
    assert one(lines(row)).outcome == "failure"
    row["auditd"] = {"message_type": "syscall", "data": {"syscall": "execve"}}
    event = one(lines(row))
    assert event.object.process is not None
    assert event.object.process.command_line == "id -u"
    assert event.object.process.parent == "10"


def test_a_login() -> None:
    row = beat("x", auditd={"message_type": "user_login", "data": {"acct": "bob"}})
    event = one(lines(row))
    assert (event.verb, event.object.name, event.code) == ("logon", "bob", "audit/USER_LOGIN")


def general(action: str, category: str, **more: Any) -> dict[str, Any]:
    return {
        "@timestamp": "2024-05-02T10:00:00Z",
        "host": {"name": "pc1"},
        "event": {"action": action, "category": [category], "type": ["info"], "outcome": "success"},
        "process": {
            "entity_id": "abc",
            "pid": 5,
            "executable": "/bin/sh",
            "args": ["sh", "-c", "x"],
            "parent": {"entity_id": "xyz", "pid": 4, "name": "init"},
        },
        **more,
    }


def test_general_events() -> None:
    started = one(lines(general("process_started", "process")))
    assert started.actor is not None
    assert started.object.process is not None
    assert (started.verb, started.actor.id, started.object.process.parent) == (
        "start",
        "xyz",
        "xyz",
    )
    assert started.object.process.command_line == "sh -c x"
    gone = one(lines(general("deletion", "file", file={"path": "/tmp/x"})))
    assert (gone.verb, gone.object.kind, gone.object.name) == ("delete", "file", "/tmp/x")
    assert gone.actor is not None
    ends = {
        "source": {"ip": "192.0.2.1", "port": 9},
        "destination": {"ip": "192.0.2.2", "port": 80},
    }
    flow = one(lines(general("network_flow", "network", **ends)))
    assert (flow.object.remote, flow.object.local) == ("192.0.2.2:80", "192.0.2.1:9")
    odd = one(lines(general("strange", "weather", rain={"mm": 3})))
    assert (odd.verb, odd.fields["rain.mm"]) == ("other", "3")


def test_rows_without_time_are_rejected() -> None:
    row = beat("open")
    del row["@timestamp"]
    _, rejects, _ = read(lines(beat("read"), row, 5))
    assert [reject.where.line for reject in rejects] == [2, 3]
