"""The bench measures the real thing: real traffic, real processes, a real engine."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman import bench
from dragoman.bench import system, traffic
from dragoman.errors import SourceError
from dragoman.records import Payload
from dragoman.sources import open_source

REQUEST = (
    b"POST /shop/item77?id=12&q=caf%C3%A9%20x HTTP/1.1\r\nHost: shop.example\r\n"
    b"Cookie: sid=abc; lang=en\r\nContent-Length: 18\r\n\r\n"
    b'{"a": "one", "n":5}'
)


# --- traffic


def test_sample_is_the_shipped_one_by_default() -> None:
    sample = traffic.read_sample(None)
    assert len(sample) == 300
    assert all(b" HTTP/1." in request for request in sample)


def test_sample_without_requests_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "values.txt").write_text("only\nvalues\n")
    with pytest.raises(SourceError) as caught:
        traffic.read_sample([tmp_path / "values.txt"])
    assert "values.txt" in str(caught.value)


def test_varied_copies_differ_only_in_digits() -> None:
    copies = list(traffic.vary([REQUEST], 20, 0))
    assert len(set(copies)) > 10
    for copy in copies:
        assert re.sub(rb"\d", b"0", copy) == re.sub(rb"\d", b"0", REQUEST.replace(b"18\r", b"19\r"))
        assert b"caf%C3%A9%20x HTTP/1.1\r\n" in copy
    assert copies == list(traffic.vary([REQUEST], 20, 0))
    assert copies != list(traffic.vary([REQUEST], 20, 1))


def test_unique_copies_share_no_value() -> None:
    one, two = traffic.vary([REQUEST], 2, 0, every_value=True)
    pattern = rb"(?:=|/)([^&\s;/?=]+)|\"a\": \"(\w+)\""
    values = [{m[1] or m[2] for m in re.finditer(pattern, r)} - {b"1.1"} for r in (one, two)]
    assert len(values[0]) == 7
    assert not values[0] & values[1]
    for request in (one, two):
        head, _, body = request.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert json.loads(body)["a"].startswith("one")


@settings(deadline=None)
@given(st.binary(max_size=400), st.booleans())
def test_vary_takes_any_bytes(request: bytes, every: bool) -> None:
    assert len(list(traffic.vary([request], 3, 0, every_value=every))) == 3


def test_written_traffic_is_read_back(tmp_path: Path) -> None:
    requests = [REQUEST, REQUEST.replace(b"one", b"\xff\xfe")]
    traffic.write(tmp_path / "t.jsonl", requests)
    records = list(open_source([str(tmp_path / "t.jsonl")]))
    assert [r.data for r in records if isinstance(r, Payload)] == requests
    assert {r.kind for r in records if isinstance(r, Payload)} == {"http"}


# --- machine and memory


def test_machine_facts() -> None:
    facts = system.machine()
    assert facts["cores"] == os.cpu_count()
    assert facts["cpu"]
    assert facts["python"] == sys.version.split()[0]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system sets no affinity")
def test_cores_are_held_and_given_back() -> None:
    before = os.sched_getaffinity(0)
    with system.cores(1) as used:
        assert used == len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


HOLD = "import time; x = bytearray(b'x') * {0}_000_000; time.sleep(0.6)"


def test_memory_of_a_command_and_its_children() -> None:
    alone = system.peak_memory([sys.executable, "-c", HOLD.format(60)])
    assert alone is not None
    assert 60 < alone < 100
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    child = system.peak_memory([sys.executable, "-c", parent, HOLD.format(60)])
    assert child is not None
    assert 60 < child < 120
    assert system.peak_memory([sys.executable, "-c", "raise SystemExit(3)"]) is None


# --- the whole


def check(report: dict) -> None:  # type: ignore[type-arg]
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    for spread in report["requests_per_s"].values():
        assert 0 < spread["min"] <= spread["median"] <= spread["max"]
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p99"]
    assert report["peak_rss_mb"] > 10
    assert report["first_finding_s"]["min"] > 0
    assert dict(bench.render(report))["runs"] == "1 x 200 requests"


def test_bench_of_the_shipped_engine() -> None:
    pytest.importorskip("sklearn", reason="the peer needs the extra [train]")
    engine = pytest.importorskip("dragoman.engine").Engine
    report = bench.payloads(lambda config: engine.load(config=config), requests=200, repeats=1)
    check(report)
    assert set(report["requests_per_s"]) == {"varied", "unique", "one_process"}
    peer = report["peer"]
    assert peer["ratio"] == pytest.approx(
        report["requests_per_s"]["varied"]["median"] / peer["requests_per_s"]["median"], rel=0.01
    )


def test_bench_without_the_peer() -> None:
    engine = pytest.importorskip("dragoman.engine").Engine
    report = bench.payloads(
        lambda config: engine.load(config=config), requests=200, repeats=1, peer=False
    )
    check(report)
    assert report["peer"]["ratio"] is None
    assert "not asked for" in dict(bench.render(report))[f"{report['peer']['name']}, requests/s"]


def test_peer_scores_every_request(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the peer needs the extra [train]")
    from dragoman.bench import peer

    traffic.write(tmp_path / "t.jsonl", traffic.vary([REQUEST], 50, 0))
    model = peer.fit(samples=20)
    scores = model.predict_proba([REQUEST.decode()])
    assert scores.shape == (1, len(model.classes_))
    with peer.workers(1) as pool:
        assert peer.scan(pool, tmp_path / "t.jsonl") == 50
