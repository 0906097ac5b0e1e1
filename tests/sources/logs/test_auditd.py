"""The raw log of the Linux audit daemon."""

from __future__ import annotations

import time

from events import one, read
from hypothesis import given
from hypothesis import strategies as st

from dragoman.config import Limits
from dragoman.sources.logs.auditd import socket_address

SYSCALL = (
    "arch=c000003e syscall={call} success={ok} exit={exit} a0={a0} a1={a1} a2=0 a3=0 items=2"
    ' ppid=10 pid=20 auid=1000 uid=1000 tty=pts0 ses=3 comm="curl" exe="/usr/bin/curl" key="k"'
)


def record(type: str, text: str, serial: int = 1, at: str = "1714644000.123") -> str:
    return f"type={type} msg=audit({at}:{serial}): {text}\n"


def syscall(call: int, serial: int = 1, **told: object) -> str:
    values = {"ok": "yes", "exit": 0, "a0": "3", "a1": "0", **told}
    return record("SYSCALL", SYSCALL.format(call=call, **values), serial)


def hexed(text: str) -> str:
    return text.encode().hex().upper()


EXEC = (
    syscall(59)
    + record("EXECVE", f'argc=4 a0="curl" a1="-o" a2={hexed("my file")} a3="http://example.com"')
    + record("CWD", 'cwd="/home/alice"')
    + record("PATH", 'item=0 name="/usr/bin/curl" inode=1 mode=0100755 nametype=NORMAL')
    + record("PROCTITLE", f"proctitle={hexed(chr(0).join(['curl', '-o']))}")
)


def test_a_program_is_run() -> None:
    event = one(EXEC.encode())
    assert (event.verb, event.object.kind, event.code) == ("start", "process", "syscall/execve")
    assert event.time == 1_714_644_000_123_000_000
    process, actor = event.object.process, event.actor
    assert process is not None
    assert actor is not None
    assert (process.pid, process.image, process.parent) == (20, "/usr/bin/curl", "10")
    assert process.command_line == 'curl -o "my file" http://example.com'
    assert (actor.id, actor.image) == ("10", "")
    assert (event.outcome, event.user) == ("success", "1000")
    assert event.where.event_ids == ("1714644000.123:1",)
    assert (event.where.line, event.fields["cwd"]) == (1, "/home/alice")


def test_events_may_be_mixed() -> None:
    second = syscall(87, 2) + record("PATH", 'item=0 name="a" nametype=DELETE', 2)
    mixed = [line for pair in zip(EXEC.splitlines(), second.splitlines(), strict=False)
             for line in pair] + EXEC.splitlines()[2:]  # fmt: skip
    ended = [record("EOE", "", 2).strip(), record("EOE", "", 1).strip()]
    events, rejects, _ = read("\n".join([*mixed, *ended]).encode())
    assert rejects == []
    assert [event.verb for event in events] == ["delete", "start"]
    assert events[1].object.process is not None
    assert "my file" in events[1].object.process.command_line


def test_an_event_waits_no_longer_than_its_records_can_come() -> None:
    late = "".join(record("TEST", f"n={n}", n, f"171464400{n}.0") for n in range(2, 9))
    events, _, _ = read((EXEC + late).encode(), limits=Limits(log_open=3))
    assert len(events) == 8
    assert events[0].verb == "start"


def test_arguments_in_pieces_are_put_together() -> None:
    text = syscall(59) + record("EXECVE", 'argc=2 a0="x" a1_len=8 a1[0]=6161 a1[1]=6262')
    event = one(text.encode())
    assert event.object.value == "x aabb"


def test_paths_are_made_absolute() -> None:
    moved = (
        syscall(82)
        + record("CWD", 'cwd="/srv/www"')
        + record("PATH", 'item=0 name="/srv/www/" nametype=PARENT')
        + record("PATH", 'item=2 name="../old" nametype=DELETE')
        + record("PATH", f"item=3 name={hexed('new ü')} nametype=CREATE")
    )
    event = one(moved.encode())
    assert (event.verb, event.object.name) == ("rename", "/srv/old")
    assert event.object.value == "/srv/www/new ü"


def test_opening_tells_reading_from_writing() -> None:
    def opened(flags: str, role: str) -> str:
        path = record("PATH", f'item=0 name="/etc/passwd" nametype={role}')
        return one((syscall(2, a1=flags) + path).encode()).verb

    assert opened("80000", "NORMAL") == "read"
    assert opened("1", "NORMAL") == "write"
    assert opened("241", "CREATE") == "create"


def test_sockets() -> None:
    assert socket_address("020001BBC633640700000000") == "198.51.100.7:443"
    assert socket_address("0002D903C0000205") == "192.0.2.5:55555"
    six = "0A000050" + "00000000" + "20010DB8000000000000000000000001" + "00000000"
    assert socket_address(six) == "[2001:db8::1]:80"
    assert socket_address("0100" + hexed("/run/x") + "00FF") == "/run/x"
    assert socket_address("010000" + hexed("abstract")) == "@abstract"
    assert socket_address("100000000000") == socket_address("xy") == socket_address("0") == ""
    text = syscall(42) + record("SOCKADDR", "saddr=020001BBC633640700000000")
    event = one(text.encode())
    assert (event.verb, event.object.name) == ("connect", "198.51.100.7:443")
    assert (event.object.remote, event.object.local) == ("198.51.100.7:443", "")


def test_descriptors_are_followed_over_a_fork() -> None:
    path = record("PATH", 'item=0 name="/tmp/x" nametype=NORMAL', 1)
    child = syscall(1, 3, a0=3).replace("pid=20", "pid=30")
    text = (
        syscall(257, 1, exit=3) + path
        + syscall(57, 2, exit=30)
        + child
        + syscall(33, 4, a0=3, exit=9) + syscall(0, 5, a0=9)
        + syscall(3, 6, a0=9) + syscall(0, 7, a0=9)
    )  # fmt: skip
    events, _, source = read(text.encode())
    assert [event.verb for event in events] == ["read", "fork", "write", "read", "read"]
    assert [event.object.name for event in events[2:]] == ["/tmp/x", "/tmp/x", "fd:9"]
    assert events[1].object.process is not None
    assert events[1].object.process.id == "30"
    assert source.skipped == {"system call dup2": 1, "system call close": 1}


def test_a_failed_call_starts_nothing() -> None:
    text = syscall(59, ok="no", exit=-2) + record("PATH", 'item=0 name="/no" nametype=UNKNOWN')
    event = one(text.encode())
    assert (event.object.kind, event.object.name, event.outcome) == ("file", "/no", "failure")


def test_records_that_stand_by_themselves() -> None:
    login = (
        'pid=7 uid=0 auid=1000 ses=1 msg=\'op=login acct="alice" exe="/usr/sbin/sshd"'
        ' hostname=? addr=192.0.2.9 terminal=ssh res=failed\'\x1dUID="root" AUID="alice"'
    )
    event = one(b"node=web1 " + record("USER_LOGIN", login).encode())
    assert event.actor is not None
    assert (event.verb, event.object.name, event.object.remote) == ("logon", "alice", "192.0.2.9")
    assert (event.outcome, event.host, event.user) == ("failure", "web1", "root")
    assert event.actor.image == "/usr/sbin/sshd"
    command = f"pid=7 uid=1000 msg='cwd=\"/\" cmd={hexed('cat /etc/shadow')} res=success'"
    assert one(record("USER_CMD", command).encode()).object.name == "cat /etc/shadow"
    odd = one(record("UNKNOWN[1420]", "subj_apparmor=unconfined").encode())
    assert (odd.verb, odd.code) == ("other", "audit/UNKNOWN[1420]")


def test_enriched_names_win_over_numbers() -> None:
    line = syscall(9_999).strip() + '\x1dARCH=x86_64 SYSCALL=unlink UID="alice"\n'
    event = one((line + record("PATH", 'item=0 name="/x" nametype=DELETE')).encode())
    assert (event.verb, event.object.name, event.user) == ("delete", "/x", "alice")


def test_a_service_that_starts_means_more_than_the_call_that_tells_of_it() -> None:
    text = record("SERVICE_START", "pid=1 uid=0 msg='unit=apt res=success'") + syscall(44)
    event = one(text.encode())
    assert (event.verb, event.object.kind, event.object.name) == ("start", "service", "apt")
    assert event.fields["call"] == "syscall/sendto"


def test_lone_and_broken_lines() -> None:
    text = (
        record("PATH", 'name="/x"') + "hello\n\n" + record("EOE", "", 9) + "type=A msg=audit(0:1):"
    )
    events, rejects, source = read(text.encode(), format="auditd")
    assert (len(events), len(rejects)) == (1, 2)
    assert source.skipped["end of an audit event that is not there"] == 1


def test_the_bytes_that_wait_are_bounded() -> None:
    big = "x" * 1_000
    text = "".join(record("PATH", f'name="{big}"', n) for n in range(200))
    events, _, _ = read(text.encode(), limits=Limits(document_bytes=5_000))
    assert len(events) == 200


@given(st.text(max_size=80), st.lists(st.sampled_from(["SYSCALL", "EXECVE", "PATH", "EOE"])))
def test_any_fields(text: str, types: list[str]) -> None:
    data = "".join(record(type, text) + syscall(59) for type in types)
    read(data.encode("utf-8", "replace"), format="auditd")


def test_hostile_lines_cost_little() -> None:
    began = time.process_time()
    for text in (
        "a" * 400_000,
        "a={ " * 100_000,
        'a="' * 100_000,
        "a[1" * 100_000,
        "a='" * 100_000,
    ):
        read(record("SYSCALL", text).encode(), format="auditd")
    assert time.process_time() - began < 5
