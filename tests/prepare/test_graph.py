"""The graph: identity, ancestry, merging, partition by time, bounds, joins, hostile streams."""

import dataclasses
import sys
from collections import Counter
from itertools import pairwise

import pytest
from happenings import SECOND, event, process, start, streams
from hypothesis import given, settings

from dragoman.config import Limits
from dragoman.prepare.graph import Graph, subgraphs

SHELL = process(1, "/bin/sh")
TOOL = process(2, "/bin/cat", parent="1@1")


def run(events, **limits):
    return list(subgraphs(events, dataclasses.replace(Limits(), **limits)))


def counted(parts):
    return Counter(name for part in parts for edge in part.edges.values() for name in edge.ids)


def test_a_tree_is_one_subgraph_with_who_started_whom():
    deep = process(3, "/bin/ls", parent="2@1")
    (part,) = run([start(TOOL, SHELL), start(deep, TOOL, at=1)])
    assert [(m.node.process.image, m.parent) for m in part.members] == [
        ("/bin/sh", -1), ("/bin/cat", 0), ("/bin/ls", 1),
    ]  # fmt: skip
    assert [p.image for p in part.members[2].node.lineage] == ["/bin/cat", "/bin/sh"]


def test_repeated_reads_are_one_edge_with_interval_count_and_ids():
    events = [event("read", "file", "/etc/x", actor=SHELL, at=n) for n in range(5)]
    (part,) = run(events, graph_event_ids=3)
    (edge,) = part.edges.values()
    assert (edge.count, edge.last - edge.first) == (5, 4 * SECOND)
    assert edge.ids == [events[0].id, events[1].id, events[4].id]


def test_a_read_after_another_process_wrote_is_another_edge():
    read = [event("read", "file", "/tmp/x", actor=TOOL, at=n) for n in (0, 2)]
    write = event("write", "file", "/tmp/x", actor=SHELL, at=1)
    parts = run([event("write", "file", "/tmp/x", actor=TOOL), read[0], write, read[1]])
    assert sorted(e.event.verb for p in parts for e in p.edges.values()) == [
        "read", "read", "write", "write",
    ]  # fmt: skip


def test_a_file_written_by_one_process_and_run_by_another_is_linked():
    dropper = process(7, "/bin/wget")
    child = process(8, "/tmp/x", parent="1@1")
    parts = run([event("create", "file", "/tmp/x", actor=dropper), start(child, SHELL, at=1)])
    (link,) = [link for part in parts for _, link in part.links.values()]
    assert (link.kind, link.process, link.from_process, link.via) == (
        "file",
        "8@1",
        "7@1",
        "/tmp/x",
    )


def test_a_pid_that_is_used_again_is_another_process():
    first, second = process(2, "/bin/a", id="2"), process(2, "/bin/b", id="2")
    ended = event("end", "process", actor=first, target=first, at=1)
    (part,) = run([start(first, SHELL), ended, start(second, SHELL, at=2)])
    assert [m.node.process.image for m in part.members] == ["/bin/sh", "/bin/a", "/bin/b"]
    by_parent = [start(dataclasses.replace(first, parent=p), SHELL) for p in ("1@1", "9@1")]
    (part,) = run(by_parent)
    assert len(part.members) == 3


def test_a_missing_parent_is_a_placeholder():
    orphan = process(2, "/bin/a", parent="77")
    (part,) = run([event("read", "file", "/x", actor=orphan)])
    (parent,) = part.members[0].node.lineage
    assert (parent.id, parent.image) == ("77", "")


def test_parents_in_a_cycle_end_the_ancestry():
    one, two = process(1, "a", parent="2@1"), process(2, "b", parent="1@1")
    parts = run([start(one, two), start(two, one, at=1), start(one, one, at=2)])
    for part in parts:
        for member in part.members:
            ids = [ancestor.id for ancestor in member.node.lineage]
            assert len(ids) == len(set(ids))
            assert len(ids) <= 16


def test_a_process_that_lives_longer_heads_the_next_subgraph_with_its_ancestry():
    late = event("write", "file", "/x", actor=TOOL, at=1000)
    first, second = run([start(TOOL, SHELL), late])
    assert first.members[0].node.process.image == "/bin/sh"
    assert second.members[0].node.process.image == "/bin/cat"
    assert [p.image for p in second.members[0].node.lineage] == ["/bin/sh"]


def test_a_subgraph_is_emitted_as_soon_as_its_time_has_passed():
    graph = Graph()
    assert graph.add(event("read", "file", "/x", actor=SHELL)) == []
    (closed,) = graph.add(event("read", "file", "/x", actor=TOOL, at=601))
    assert closed.members[0].node.process is SHELL


def test_hosts_are_kept_apart():
    parts = run([event("read", "file", "/x", actor=SHELL, host=host) for host in ("a", "b", "a")])
    assert sorted((part.host, len(part.edges)) for part in parts) == [("a", 1), ("b", 1)]


def test_a_tree_with_many_children_is_cut_into_pieces_that_keep_the_head():
    events = [start(process(n, f"/bin/{n}", parent="1@1"), SHELL) for n in range(2, 1002)]
    parts = run(events, graph_edges=100)
    assert [part.piece for part in parts][:3] == [0, 1, 2]
    assert all(part.members[0].node.process is SHELL for part in parts)
    assert max(len(part.edges) for part in parts) == 100
    assert counted(parts) == Counter(e.id for e in events)


def test_all_open_subgraphs_together_are_bounded():
    graph = Graph(dataclasses.replace(Limits(), graph_held=50))
    closed = []
    for n in range(500):
        closed += graph.add(event("read", "file", "/x", actor=process(n, "a"), host=f"h{n % 70}"))
        assert graph._held <= 50
    closed += graph.close()
    assert sum(counted(closed).values()) == 500
    assert graph._held == 0


def test_processes_and_files_remembered_are_bounded():
    graph = Graph(dataclasses.replace(Limits(), graph_processes=10, graph_objects=10))
    for n in range(100):
        graph.add(event("write", "file", f"/{n}", actor=process(n, "a")))
        graph.add(event("connect", "socket", actor=process(n, "a"), local=f"192.0.2.1:{n}",
                        remote="192.0.2.9:80"))  # fmt: skip
    assert len(graph._nodes) <= 10
    assert len(graph._files) <= 10


def ends(verb, host, actor, near, far, at=0.0):
    return event(verb, "socket", far, actor=actor, host=host, local=near, remote=far, at=at)


@pytest.mark.parametrize("first", ["connect", "accept"])
def test_both_ends_of_a_connection_are_joined_whichever_came_first(first):
    pair = {
        "connect": ends("connect", "a", SHELL, "192.0.2.1:50000", "192.0.2.2:22"),
        "accept": ends("accept", "b", TOOL, "192.0.2.2:22", "192.0.2.1:50000"),
    }
    one = pair.pop(first)
    parts = run([one, *pair.values()])
    (link,) = [link for part in parts for _, link in part.links.values()]
    assert (link.kind, link.host, link.process) == ("network", "b", "2@1")
    assert (link.from_host, link.from_process) == ("a", "1@1")


@pytest.mark.parametrize("logon_first", [False, True])
def test_what_runs_in_a_remote_session_is_joined_to_where_it_came_from(logon_first):
    connect = ends("connect", "a", SHELL, "192.0.2.1:50000", "192.0.2.2:445")
    logon = event("logon", "session", r"D\ann", "3", host="b", remote="192.0.2.1:50000", at=1,
                  fields={"TargetLogonId": "0x77"})  # fmt: skip
    child = process(9, r"C:\x.exe")
    ran = start(child, process(8, "wmiprvse.exe"), host="b", at=2, fields={"LogonId": "0x77"})
    opening = [logon, connect] if logon_first else [connect, logon]
    links = [link for part in run([*opening, ran]) for _, link in part.links.values()]
    assert [link.kind for link in links] == ["logon", "logon"]
    ends_at = [link for link in links if link.process == "9@1"]
    assert [(link.from_host, link.from_process, link.via) for link in ends_at] == [
        ("a", "1@1", r"D\ann")
    ]


def test_explicit_credentials_join_the_logon_they_were_for():
    used = event("logon", "credential", r"D\ann", "srv.example.com", actor=SHELL)
    logon = event("logon", "session", r"D\ann", "3", host="srv", at=1, fields={"ses": "7"})
    (link,) = [link for part in run([used, logon]) for _, link in part.links.values()]
    assert (link.kind, link.host, link.from_host, link.from_process) == (
        "credential", "srv", "a", "1@1",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("near", "far"),
    [("127.0.0.1:1", "127.0.0.1:2"), ("192.0.2.1:5353", "224.0.0.251:5353"), ("", "192.0.2.2:1")],
)
def test_addresses_of_no_one_host_join_nothing(near, far):
    parts = run([ends("connect", "a", SHELL, near, far), ends("accept", "b", TOOL, far, near)])
    assert not any(part.links for part in parts)


@settings(max_examples=40, deadline=None)
@given(streams())
def test_every_event_of_any_stream_is_in_exactly_one_edge(events):
    parts = run(events, graph_edges=5, graph_held=20, graph_event_ids=1000)
    assert counted(parts) == Counter(e.id for e in events)
    for part in parts:
        assert all(member.parent < number for number, member in enumerate(part.members))
        assert all(edge.member < len(part.members) for edge in part.edges.values())


def _calls(function):
    """How many calls of functions it takes: a measure of work that no busy machine changes."""
    calls = 0

    def note(frame, kind, arg):
        nonlocal calls
        calls += kind in ("call", "c_call")

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def _wide(n):
    return [start(process(k, f"/bin/{k % 7}", parent="1@1"), SHELL, at=k / 50) for k in range(2, n)]


def _deep(n):
    line = [process(k, "/bin/sh", parent=f"{k - 1}@1") for k in range(1, n)]
    return [start(child, by, at=0.001) for by, child in pairwise(line)]


def _busy(n):
    return [event("write", "file", f"/{k % 900}", actor=process(k % 50, "a"), at=k / 20)
            for k in range(n)]  # fmt: skip


@pytest.mark.parametrize("shape", [_wide, _deep, _busy])
def test_the_cost_of_an_event_does_not_grow(shape):
    small, large = shape(2_000), shape(20_000)
    few = _calls(lambda: run(small)) / len(small)
    many = _calls(lambda: run(large)) / len(large)
    assert many < 1.2 * few
