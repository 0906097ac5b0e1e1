"""Answers that were paid for stay."""

import threading

import pytest

from dragoman.dataset.journal import Answer, Journal, key_of
from dragoman.errors import SourceError

ONE, TWO = Answer("one", 10, 2), Answer('two\n"é"', 11, 3)


def test_what_is_put_is_there_for_the_next_run(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.put("a", ONE)
    journal.put("b", TWO)
    again = Journal(path)
    assert (len(again), again.get("a"), again.get("b"), again.get("c")) == (2, ONE, TWO, None)


def test_a_torn_line_costs_only_itself(tmp_path):
    path = tmp_path / "journal.jsonl"
    Journal(path).put("a", ONE)
    Journal(path).put("b", TWO)
    path.write_bytes(path.read_bytes()[:-9])
    journal = Journal(path)
    assert (journal.get("a"), journal.get("b")) == (ONE, None)
    journal.put("b", TWO)
    journal.put("c", ONE)
    assert [Journal(path).get(key) for key in "abc"] == [ONE, TWO, ONE]


@pytest.mark.parametrize("junk", [b"\xff\xfe", b"[]", b"{}", b'{"key": 1}', b"[" * 100_000, b"7"])
def test_junk_is_passed_over(tmp_path, junk):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(junk + b"\n")
    journal = Journal(path)
    journal.put("a", ONE)
    assert Journal(path).get("a") == ONE


def test_from_many_threads(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    threads = [threading.Thread(target=journal.put, args=(str(n), ONE)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Journal(tmp_path / "journal.jsonl")) == 40


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(SourceError, match="cannot write"):
        Journal(tmp_path / "gone" / "journal.jsonl").put("a", ONE)
    with pytest.raises(SourceError, match="cannot read"):
        Journal(tmp_path)


def test_the_key_is_that_of_the_whole_request():
    one = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    assert key_of(one) == key_of({"messages": one["messages"], "model": "m"})
    assert key_of(one) != key_of(one | {"model": "n"})
    assert key_of(one) != key_of(one | {"messages": []})
