"""Sequences: nothing lost, in order, in plain words, with ancestry, bounded."""

import dataclasses
from collections import Counter

import pytest
from happenings import event, process, start, streams
from hypothesis import given, settings

from dragoman.config import Limits
from dragoman.prepare.background import fit
from dragoman.prepare.sequence import sequences
from dragoman.records import Process, Rejected, Where

WORD = process(1, r"C:\Program Files\Office\winword.exe", id="1-g")
SHELL = process(2, r"C:\Windows\System32\cmd.exe", "cmd /c whoami", parent="1-g", id="2-g")


def made(events, background=None, **limits):
    return list(
        sequences(events, limits=dataclasses.replace(Limits(), **limits), background=background)
    )


def test_a_small_branch_is_told_with_the_process_that_started_it():
    (sequence,) = made([start(SHELL, WORD, user=r"D\ann"), event("end", "process", target=SHELL)])
    assert sequence.root == WORD
    assert [e.sentence for e in sequence.elements] == [
        'cmd.exe was started by winword.exe with the command line "cmd /c whoami" as user',
        "cmd.exe ended",
    ]
    assert sequence.elements[0].process == SHELL
    assert sequence.elements[0].protected


def test_a_large_branch_is_a_sequence_of_its_own_with_its_ancestry():
    files = [event("create", "file", f"C:\\x\\report{chr(97 + n)}.docx", actor=SHELL, at=n)
             for n in range(8)]  # fmt: skip
    (sequence,) = made([start(SHELL, WORD), *files])
    assert sequence.root == SHELL
    assert sequence.ancestors == (WORD,)
    assert sequence.ancestry == "winword.exe > cmd /c whoami"
    assert len(sequence.elements) == 9


def test_the_start_of_a_process_comes_first_though_its_record_came_later():
    loads = [event("load", "module", f"C:\\Windows\\System32\\{n}.dll", actor=SHELL, at=0.1)
             for n in ("ntdll", "user32")]  # fmt: skip
    (sequence,) = made([*loads, start(SHELL, WORD, at=0.2)])
    assert [e.verb for e in sequence.elements] == ["start", "load", "load"]


def test_edges_that_only_random_names_tell_apart_are_one_element():
    names = ["a8Kx2Qz9", "pQ77xkJ2", "z1b2c3d4"]
    events = [event("create", "file", rf"C:\Users\ann\AppData\Local\Temp\{name}.tmp", actor=SHELL)
              for name in names]  # fmt: skip
    ((element,),) = [sequence.elements for sequence in made(events)]
    assert element.count == 3
    assert element.events == tuple(e.id for e in events)
    assert element.sentence.endswith(r"created %temp%\<random>.tmp (the temporary folder), 3 times")
    assert element.tokens[1:] == ("create:file", r"object:%temp%\<random>.tmp")


def test_long_scripts_that_differ_at_the_end_only_are_two_elements():
    script = "Write-Host hello; " * 200
    events = [event("run", "script", "", script + tail, actor=SHELL) for tail in ("", "evil")]
    ((one, two),) = [sequence.elements for sequence in made(events)]
    assert one.views[0] == two.views[0]
    assert one.events != two.events


def test_a_file_that_lived_and_died_within_one_process_is_told_once():
    path = "/home/ann/x.lock"
    events = [event(verb, "file", path, actor=SHELL, at=n)
              for n, verb in enumerate(("create", "write", "delete"))]  # fmt: skip
    ((element,),) = [sequence.elements for sequence in made(events)]
    assert element.transient
    assert element.count == 3
    assert "created and deleted ~/x.lock as a temporary file" in element.sentence


@pytest.mark.parametrize(
    "use",
    [
        start(process(5, "/tmp/x.sh", parent="2-g"), SHELL, at=1.5),
        start(process(5, "/bin/sh", "sh /tmp/x.sh"), SHELL, at=1.5),
        event("read", "file", "/tmp/x.sh", actor=WORD, at=1.5),
    ],
    ids=["run", "named", "read by another"],
)
def test_a_file_that_was_used_is_no_passing_file(use):
    write, gone = (event(verb, "file", "/tmp/x.sh", actor=SHELL, at=at)
                   for verb, at in (("create", 1), ("delete", 2)))  # fmt: skip
    elements = [e for sequence in made([write, use, gone]) for e in sequence.elements]
    assert not any(e.transient for e in elements)
    assert {"create", "delete"} <= {e.verb for e in elements}


def test_a_long_part_is_cut_into_consecutive_pieces():
    events = [event("load", "module", f"/opt/{chr(97 + n % 26)}{chr(97 + n // 26)}", actor=SHELL,
                    at=n / 10) for n in range(300)]  # fmt: skip
    parts = made(events, graph_elements=100)
    assert [len(part.elements) for part in parts] == [100, 100, 100]
    assert [part.piece for part in parts] == [0, 1, 2]
    assert len({part.id for part in parts}) == 3
    assert parts[0].end <= parts[1].start
    assert {part.ancestry for part in parts} == {parts[0].ancestry}


def test_encoded_commands_are_told_decoded():
    import base64

    hidden = base64.b64encode("Get-Process lsass".encode("utf-16-le")).decode()
    child = process(3, r"C:\x\powershell.exe", f"powershell -enc {hidden}")
    own = made([event("read", "file", "/x", actor=child)])[0]
    assert own.ancestry == "powershell -enc <random>, which decodes to get-process lsass"
    ((element,),) = [sequence.elements for sequence in made([start(child, SHELL)])]
    assert element.views == (f"powershell -enc {hidden}", "Get-Process lsass")
    assert 'which decodes to "get-process lsass"' in element.sentence


def test_events_of_no_process_are_told_by_session_or_host():
    grant = event("grant", "privilege", r"D\ann", "SeDebugPrivilege",
                  fields={"SubjectLogonId": "0x9"},
                  what="special privileges were given to a new logon")  # fmt: skip
    clear = event("clear", "log", what="the security audit log was cleared")
    parts = made([grant, clear])
    assert {part.ancestry for part in parts} == {"a logon session", "the host"}
    assert {part.elements[0].sentence for part in parts} == {
        "special privileges were given to a new logon: user, sedebugprivilege",
        "the security audit log was cleared",
    }


def test_links_stand_in_the_sequence_of_their_process_and_protect_its_element():
    connect = event(
        "connect", "socket", actor=SHELL, local="192.0.2.1:50000", remote="192.0.2.2:22"
    )
    accept = event("accept", "socket", actor=WORD, local="192.0.2.2:22", remote="192.0.2.1:50000",
                   host="b")  # fmt: skip
    one, two = sorted(made([connect, accept]), key=lambda s: s.host)
    assert [link.from_host for link in two.links] == ["a"]
    assert two.elements[0].protected
    assert one.links == ()


def test_what_was_rejected_is_counted():
    run = sequences([Rejected(Where("log"), "broken"), event("clear", "log")])
    assert len(list(run)) == 1
    assert (run.events, run.rejected) == (1, 1)


def test_a_command_line_of_a_megabyte_is_bounded():
    for line in (
        "A" * 1_000_000,
        "^" * 1_000_000,
        "'+'" * 300_000,
        "-e " * 300_000,
        "a@" * 500_000,
    ):
        ((element,),) = [s.elements for s in made([start(process(3, line, line), SHELL)])]
        assert len(element.sentence) < 2_000
        assert sum(map(len, element.views)) < 20_000
        assert sum(map(len, element.tokens)) < 8_000


def test_an_unknown_event_is_told_by_its_code_and_message():
    odd = dataclasses.replace(
        event("other", "other", code="acme/17", fields={"Message": "The disk 17 is full"}), what=""
    )
    ((element,),) = [s.elements for s in made([odd])]
    assert element.sentence == "event acme/17: the disk <n> is full"


@settings(max_examples=40, deadline=None)
@given(streams(), streams(most=10))
def test_every_event_is_in_one_sequence_or_counted_as_dropped(events, benign):
    background = fit([benign, benign], least_processes=1, least_groups=1)
    limits = dataclasses.replace(Limits(), graph_event_ids=1000, graph_elements=4, graph_edges=20)
    run = sequences(events, limits=limits, background=background)
    parts = list(run)
    told = Counter(name for part in parts for e in part.elements for name in e.events)
    assert set(told.values()) <= {1}
    assert set(told) <= {e.id for e in events}
    assert sum(told.values()) + sum(run.dropped.values()) == len(events) == run.events
    assert sum(e.count for part in parts for e in part.elements) == sum(told.values())
    assert len({part.id for part in parts}) == len(parts)
    for part in parts:
        assert len(part.elements) <= 4
        assert all(e.sentence and e.tokens for e in part.elements)
        assert all(part.start <= e.first <= e.last <= part.end for e in part.elements)
        assert len(part.ancestors) <= 16
        assert isinstance(part.root, Process)


@pytest.mark.parametrize("many", [8, 9, 500])
def test_what_was_done_to_many_files_of_one_place_is_one_element(many):
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [f"/home/ann/docs/{letters[n % 26]}{letters[n // 26]}.odt" for n in range(many)]
    events = [event("write", "file", name, actor=SHELL) for name in names]
    elements = [e for s in made(events, graph_event_ids=600) for e in s.elements]
    assert len(elements) == (8 if many == 8 else 1)
    assert sum(e.count for e in elements) == many
    if many > 8:
        assert f"and the same to {many - 1} others there, {many} times" in elements[0].sentence
        assert elements[0].events == tuple(e.id for e in events)


def test_libraries_and_what_is_protected_are_told_one_by_one():
    run = r"HKLM\Software\Microsoft\Windows\CurrentVersion\Run"
    letters = "abcdefghijklmnopqrst"
    loads = [event("load", "module", rf"C:\x\lib{letter}.dll", actor=SHELL) for letter in letters]
    keys = [event("set", "registry", rf"{run}\k{letter}", actor=SHELL) for letter in letters]
    assert sum(len(s.elements) for s in made(loads + keys)) == 40
