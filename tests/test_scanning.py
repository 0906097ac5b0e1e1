"""A running scan: order, counts, rejects, laziness, and other processes."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from dragoman import Config, Engine, Limits, Payload, SourceError
from dragoman.cli import app
from dragoman.config import Scan
from dragoman.records import Rejected, Where

ATTACK = "1' UNION SELECT username, password FROM users-- -"


def value(text, id):
    return Payload(str(id), text.encode(), "value", Where("test", line=1))


def rejected(number):
    return Rejected(Where("test", line=number), f"reason {number}")


@pytest.fixture(scope="module")
def load(bundle_path):
    """Engines that find something in every record in which they read anything."""

    def one(**scan):
        return Engine.load(bundle_path, config=Config(scan=Scan(threshold=0.0, **scan)))

    return one


@pytest.fixture(scope="module")
def engine(load):
    return load()


def test_findings_come_in_the_order_of_the_records(engine):
    records = [value(f"{ATTACK}{'x' * (i % 7)}" if i % 3 else "plain", i) for i in range(700)]
    scan = engine.scan(records)
    assert [f.record for f in scan] == [str(i) for i in range(700) if i % 3]
    assert scan.counts.to_dict() == {
        "found": sum(1 for i in range(700) if i % 3),
        "parsed": 700,
        "rejected": 0,
        "not_covered": 0,
    }


def test_a_scan_reads_no_further_than_it_must(engine):
    read = []

    def records():
        for i in range(100_000):
            read.append(i)
            yield value(ATTACK, i)

    scan = engine.scan(records())
    assert next(scan).record == "0"
    assert len(read) <= 32
    assert scan.counts.parsed == len(read)


def test_every_reject_is_handed_over_and_the_first_are_kept(engine):
    seen = []
    scan = engine.scan([value("hello there", 1), *map(rejected, range(2500))])
    scan.on_reject = seen.append
    list(scan)
    assert [r.reason for r in seen] == [f"reason {i}" for i in range(2500)]
    assert scan.counts.rejected == 2500
    assert scan.counts.rejects == seen[:1000]


def test_two_scans_share_nothing(engine):
    seen = []
    first, second = engine.scan([rejected(1), value("a", 1)]), engine.scan([value("a", 1)])
    first.on_reject = seen.append
    assert list(second) == list(first) == []
    assert (len(seen), second.counts.rejected) == (1, 0)


@pytest.mark.parametrize("records", [[], [rejected(1)]])
def test_nothing_parsed_is_an_error(engine, records):
    with pytest.raises(SourceError, match=rf"nothing could be parsed \({len(records)} rejected\)"):
        list(engine.scan(records))


def test_what_was_not_read_in_full_is_counted(bundle_path):
    limits = Limits(field_bytes=100)
    scan = Engine.load(bundle_path, config=Config(limits=limits)).scan(
        [value("a" * 101, 1), value("a" * 100, 2)]
    )
    list(scan)
    assert (scan.counts.parsed, scan.counts.not_covered) == (2, 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_change_nothing(load, workers):
    records = [value(f"{ATTACK}{i % 50}" if i % 9 == 0 else "plain", i) for i in range(4000)]
    scan = load(workers=workers, batch=256).scan(records)
    found = list(scan)
    assert [f.record for f in found] == [str(i) for i in range(0, 4000, 9)]
    assert len({(f.verdict, f.score) for f in found}) >= 1
    assert (scan.counts.parsed, scan.counts.found) == (4000, len(found))


def test_a_reader_that_stops_early_leaves_no_process(load):
    records = (value(ATTACK, i) for i in range(50_000))
    scan = load(workers=2, batch=256).scan(records)
    for _ in range(3000):
        next(scan)
    scan.close()
    with pytest.raises(StopIteration):
        next(scan)


def test_rejects_file_holds_them_all(bundle_path, tmp_path):
    rows = [json.dumps({"payload": "hello there"}), *(f'{{"broken {i}' for i in range(1200))]
    source, out = tmp_path / "rows.jsonl", tmp_path / "rejects.jsonl"
    source.write_text("\n".join(rows) + "\n", "utf-8")
    args = ["scan", str(source), "--format", "jsonl", "--rejects", str(out)]
    args += ["--bundle", str(bundle_path), "--intel", str(tmp_path / "intel")]
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert len(lines) == 1200
    assert lines[-1]["where"]["line"] == 1201
    assert all(line["reason"] for line in lines)


def test_rejected_intelligence_is_reported(bundle_path, tmp_path):
    good = '{"cve": "CVE-2031-0001", "description": "SQL injection in Example Shop"}'
    source = tmp_path / "cves.jsonl"
    source.write_text("\n".join([good, *(f'{{"broken {i}' for i in range(12))]) + "\n", "utf-8")
    args = ["intel", "add", str(source), "--bundle", str(bundle_path)]
    done = CliRunner().invoke(app, [*args, "--intel", str(tmp_path / "intel")])
    assert done.exit_code == 0, done.output
    assert "1 added · 12 rejected" in done.stdout
    assert done.stderr.count("rejected: ") == 10
    assert "and 2 more rejected" in done.stderr
    assert f"{source}:2" in done.stderr.replace("\n", "")
