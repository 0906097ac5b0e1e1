"""What is learned as common, what reduction may drop, and what it may never drop."""

import dataclasses

import pytest
from happenings import event, process, start

from dragoman.errors import BundleError
from dragoman.prepare.background import Background, fit
from dragoman.prepare.sequence import sequences

SHELL = process(2, r"C:\Windows\System32\cmd.exe")
AGENT = process(3, r"C:\Windows\System32\svchost.exe")
RUN_KEY = r"HKLM\Software\Microsoft\Windows\CurrentVersion\Run\x"


def benign(host, events):
    """The events thrice, each time in another subgraph."""
    return [
        dataclasses.replace(e, id=f"{host}{turn}{e.id}", host=host, time=e.time + turn * 10**12)
        for turn in range(3)
        for e in events
    ]


NOISE = [
    event("read", "file", r"C:\Windows\win.ini", actor=AGENT),
    event("set", "registry", r"HKLM\Software\Acme\Counter", "1", actor=AGENT),
    event("access", "process", "", "0x1000", actor=AGENT, target=process(9, r"C:\x\lsass.exe")),
]
NEVER = [
    start(process(4, r"C:\Windows\System32\whoami.exe"), SHELL),
    event("inject", "process", "", actor=AGENT, target=process(9, r"C:\x\lsass.exe")),
    event("logon", "session", r"D\ann", "3"),
    event("install", "service", "svc", r"C:\x.exe", actor=AGENT),
    event("modify", "service", "svc", "stopped", actor=AGENT),
    event("schedule", "task", "t", actor=AGENT),
    event("delete", "task", "t", actor=AGENT),
    event("create", "wmi", "consumer", actor=AGENT),
    event("run", "script", "", "Get-Date", actor=AGENT),
    event("clear", "log", actor=AGENT),
    event("detect", "threat", "x", actor=AGENT),
    event("modify", "user", r"D\ann", actor=AGENT),
    event("modify", "group", "admins", actor=AGENT),
    event("create", "rule", "firewall", actor=AGENT),
    event("set", "registry", RUN_KEY, r"C:\x.exe", actor=AGENT),
    event("create", "file", "/etc/cron.d/x", actor=AGENT),
    event("write", "file", "/home/ann/.ssh/authorized_keys", actor=AGENT),
]
LEARNED = fit([benign("a", NOISE + NEVER), benign("b", NOISE + NEVER)])


def told(events, background=LEARNED):
    run = sequences(events, background=background)
    return [e for s in run for e in s.elements], run


@pytest.mark.parametrize("one", NOISE, ids=lambda e: f"{e.verb} {e.object.kind}")
def test_what_is_common_is_dropped_and_counted(one):
    elements, run = told([one])
    assert elements == []
    assert run.dropped == {"common background": 1}


@pytest.mark.parametrize("one", NEVER, ids=lambda e: f"{e.verb} {e.object.kind}")
def test_what_may_never_be_dropped_is_told_however_common(one):
    (element,), run = told([one])
    assert element.protected
    assert not sum(run.dropped.values())


def test_other_rights_to_the_same_process_are_another_behaviour():
    wide = event("access", "process", "", "0x1410", actor=AGENT,
                 target=process(9, r"C:\x\lsass.exe"))  # fmt: skip
    (element,), _ = told([wide])
    assert "read its memory" in element.sentence


def test_another_program_doing_the_same_is_another_behaviour():
    (element,), _ = told([event("read", "file", r"C:\Windows\win.ini", actor=SHELL)])
    assert element.verb == "read"


def test_a_common_edge_that_joins_two_hosts_is_kept():
    near, far = "192.0.2.1:50000", "192.0.2.2:22"
    ends = [event("connect", "socket", far, actor=AGENT, local=near, remote=far),
            event("accept", "socket", near, actor=AGENT, host="b", local=far,
                  remote=near)]  # fmt: skip
    common = fit([benign("c", ends), benign("d", ends)])
    assert told(ends[:1], common)[0] == []
    elements, _ = told(ends, common)
    assert [e.verb for e in elements] == ["accept"]


def test_the_ancestry_of_what_is_told_survives_though_all_its_ancestors_did_was_common():
    top = process(1, r"C:\Windows\explorer.exe", id="1-g")
    middle = process(2, r"C:\x\updater.exe", parent="1-g", id="2-g")
    leaf = process(3, r"C:\x\payload.exe", parent="2-g", id="3-g")
    noise = [event("read", "file", r"C:\Windows\win.ini", actor=p) for p in (top, middle)]
    common = fit([benign("c", noise), benign("d", noise)])
    events = [noise[0], start(middle, top, at=1), noise[1], start(leaf, middle, at=2),
              event("write", "file", r"C:\secret.txt", actor=leaf, at=5000)]  # fmt: skip
    run = sequences(events, background=common)
    last = max(run, key=lambda s: s.start)
    assert [p.id for p in last.ancestors] == ["1-g", "2-g"]
    assert run.dropped["common background"] == 2


def test_the_first_occurrence_of_what_is_merged_is_kept():
    events = [event("write", "file", "/x", actor=SHELL, at=n) for n in range(100)]
    (element,), _ = told(events)
    assert element.events[0] == events[0].id
    assert element.events[-1] == events[-1].id
    assert (element.first, element.last) == (events[0].time, events[-1].time)


def test_the_habit_of_one_host_is_not_common():
    assert len(fit([benign("a", NOISE)])) == 0
    assert len(fit([benign("a", NOISE)], least_groups=1)) == len(NOISE)


def test_what_many_programs_load_is_common_for_one_never_seen():
    library = r"C:\Windows\System32\kernel32.dll"
    programs = [process(n, f"C:\\x\\{chr(97 + n)}.exe") for n in range(12)]
    loads = [event("load", "module", library, actor=program) for program in programs]
    common = fit([loads, loads])
    unseen = event("load", "module", library, actor=process(99, r"C:\y\new.exe"))
    assert told([unseen], common)[0] == []
    assert told([unseen], fit([loads[:11]] * 2))[0] != []
    assert told([unseen], fit([loads]))[0] != []


def test_a_table_survives_saving(tmp_path):
    path = tmp_path / "background.safetensors"
    LEARNED.save(path)
    again = Background.load(path)
    assert (again.counts, again.anyone) == (LEARNED.counts, LEARNED.anyone)
    assert len(again) == len(LEARNED) > 0
    assert (again.processes, again.programs, again.groups) == (3, 12, 2)


@pytest.mark.parametrize("data", [b"", b"\x10\0\0\0\0\0\0\0{}", b"x" * 100])
def test_a_damaged_table_is_refused(tmp_path, data):
    path = tmp_path / "background.safetensors"
    path.write_bytes(data)
    with pytest.raises(BundleError, match="not a background table"):
        Background.load(path)


def test_a_foreign_table_is_refused(tmp_path):
    import numpy as np
    from safetensors.numpy import save_file

    path = tmp_path / "other.safetensors"
    save_file({"weights": np.zeros(3)}, path)
    with pytest.raises(BundleError, match="not a background table"):
        Background.load(path)
    with pytest.raises(BundleError):
        Background.load(tmp_path / "missing")
