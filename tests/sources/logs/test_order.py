"""The order of clocks, and who a pid was."""

from __future__ import annotations

import time as clock
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dragoman.records import Event, Object, Process, Rejected, Verb, Where
from dragoman.sources.logs import identified, merged, ordered

SECOND = 1_000_000_000
WHERE = Where("x")


def at(seconds: float, verb: Verb = "read", **parts: object) -> Event:
    """An event at a time after the first."""
    base = Event("x#1", SECOND, "h", verb, Object("file", "f"), None, "c", "w", WHERE)
    return replace(base, time=SECOND + int(seconds * SECOND), **parts)  # type: ignore[arg-type]


def start(seconds: float, pid: int, parent: str = "1", id: str = "", host: str = "h") -> Event:
    child = Process(id or str(pid), pid, f"image{pid}", f"run {pid}", "u")
    return at(
        seconds, "start", actor=Process(parent), object=Object("process", process=child), host=host
    )


def actor(event: Event | Rejected) -> Process:
    assert isinstance(event, Event)
    assert event.actor is not None
    return event.actor


def test_order_is_repaired_within_the_window() -> None:
    rejected = Rejected(WHERE, "no")
    events = [at(5), at(3), rejected, at(4), at(70), at(2), at(71)]
    stream = ordered(events, window_s=10)
    times = [(e.time - SECOND) // SECOND for e in stream if isinstance(e, Event)]
    assert times == [3, 4, 5, 2, 70, 71] or times == [3, 4, 2, 5, 70, 71]
    assert stream.late == 1
    assert rejected in list(ordered(events))


def test_each_file_is_put_in_order_by_itself() -> None:
    other = Where("y")
    events = [at(500), at(499), at(3, where=other), at(2, where=other)]
    stream = ordered(events)
    assert [(e.time - SECOND) // SECOND for e in stream if isinstance(e, Event)] == [499, 500, 2, 3]
    assert stream.late == 0


def test_streams_are_merged_by_time() -> None:
    rejected = Rejected(WHERE, "no")
    one, two = [at(1), at(4), rejected, at(4)], [at(2), at(4), at(3)]
    found = list(merged([one, two]))
    assert [e if e is rejected else (e.time - SECOND) // SECOND for e in found] == [
        *(1, 2, 4, rejected, 4, 4, 3),
    ]
    assert found[2] is one[1]


def test_no_more_than_the_limit_wait() -> None:
    stream = ordered([at(n) for n in range(100, 0, -1)], window_s=1e6, limit=10)
    assert len(list(stream)) == 100
    assert stream.late == 89


@given(st.lists(st.integers(0, 1_000), max_size=60), st.integers(0, 50), st.integers(1, 20))
def test_nothing_is_lost(times: list[int], window: int, limit: int) -> None:
    events = [at(t) for t in times]
    found = list(ordered(events, window, limit))
    assert sorted(id(e) for e in found) == sorted(id(e) for e in events)


def test_a_pid_is_the_process_that_started_last_under_it() -> None:
    use = Process("7", 7, "short")
    events = [
        at(0, actor=use), start(1, 7), at(2, actor=use), start(9, 7, parent="2"), at(10, actor=use),
    ]  # fmt: skip
    found = list(identified(events))
    assert actor(found[0]).id == "7"
    assert actor(found[2]).id == f"7@{2 * SECOND}"
    assert actor(found[4]).id == f"7@{10 * SECOND}"
    assert (actor(found[4]).command_line, actor(found[4]).parent) == ("run 7", "2")
    assert actor(found[4]).image == "short"


def test_a_guid_of_another_log_names_the_pid() -> None:
    events = [start(1, 7, id="ab-cd"), start(1.2, 7), at(3, actor=Process("7", 7))]
    found = list(identified(events))
    assert isinstance(found[1], Event)
    assert found[1].object.process is not None
    assert found[1].object.process.id == actor(found[2]).id == "ab-cd"


def test_a_fork_and_the_program_it_runs_are_one_process() -> None:
    parent, child = Process("5", 5, "sh"), Process("7", 7, "sh")
    fork = at(1, "fork", actor=parent, object=Object("process", process=child))
    ran = at(2, "start", actor=Process("5", 5), object=Object("process", process=child))
    found = list(identified([fork, ran, at(3, actor=Process("7", 7))]))
    assert actor(found[2]).id == f"7@{2 * SECOND}"
    assert actor(found[2]).parent == "5"


def test_an_end_frees_the_pid_and_hosts_are_kept_apart() -> None:
    one, two = Process("7", 7), Process("7", 7)
    end = at(2, "end", actor=one, object=Object("process", process=one))
    events = [start(1, 7), end, at(3, actor=one), start(4, 7, host="g"), at(5, actor=two)]
    found = list(identified(events))
    assert isinstance(found[1], Event)
    assert found[1].object.process == found[1].actor
    assert actor(found[1]).id == f"7@{2 * SECOND}"
    assert actor(found[2]).id == actor(found[4]).id == "7"


def test_the_table_is_bounded() -> None:
    events = [start(n, n) for n in range(50)] + [at(60, actor=Process("0", 0))]
    assert actor(list(identified(events, limit=5))[-1]).id == "0"


def test_cost_grows_with_the_number_of_events() -> None:
    def cost(count: int) -> float:
        events = [start(n % 97, n % 1_000) for n in range(count)]
        began = clock.process_time()
        for _ in identified(ordered(events)):
            pass
        return clock.process_time() - began

    cost(1_000)
    assert cost(20_000) < 12 * cost(4_000) + 0.2
