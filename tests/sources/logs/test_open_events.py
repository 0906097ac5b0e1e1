"""Any input: sniffing, folders, archives, hostile files, and what is said of no event at all."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest
from events import START, flat, lines, read, security, xml
from hypothesis import given
from hypothesis import strategies as st
from test_auditd import EXEC
from test_ecs import beat, general
from test_research import ecar, eql, event

from dragoman.config import Limits
from dragoman.errors import SourceError, UsageError
from dragoman.records import Event, Rejected
from dragoman.sources.logs import READERS, open_events

VIEWER = (
    b"Keywords,Date and Time,Source,Event ID,Task Category\r\n"
    b"Audit Success,5/2/2024 10:00:00 AM,Microsoft-Windows-Security-Auditing,4688,"
    b'Process Creation,"A new process has been created.\r\n\r\nCreator Subject:\r\n'
    b"\tAccount Name:\t\talice\r\n\tAccount Domain:\t\tLAB\r\n\r\nProcess Information:\r\n"
    b"\tNew Process ID:\t\t0x1f4\r\n\tNew Process Name:\tC:\\x.exe\r\n"
    b'\tCreator Process ID:\t0x64\r\n\tProcess Command Line:\tx -y\r\n"\r\n'
    b"Audit Failure,5/2/2024 1:00:00 PM,Microsoft-Windows-Security-Auditing,4625,"
    b'Logon,"An account failed to log on.\r\n\r\nAccount For Which Logon Failed:\r\n'
    b'\tAccount Name:\t\t""bob""\r\n"\r\n'
)
SAMPLES = {
    "windows": lines(flat(1, START), security(4634)),
    "xml": xml(1, START).encode(),
    "auditd": EXEC.encode(),
    "ecs": lines(beat("read"), general("creation", "file")),
    "cdm": lines(event("READ", "00000000-0000-0000-0000-0000000000AA")),
    "ecar": lines(ecar("FILE", "READ", file_path="x")),
    "eql": json.dumps([eql("file", file_path="x")], indent=1).encode(),
    "viewer": VIEWER,
}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_is_sniffed(name: str) -> None:
    events, rejects, source = read(SAMPLES[name])
    assert events
    assert rejects == []
    assert source.seen[0].format == name


def test_a_document_of_windows_events() -> None:
    rows = [flat(1, START), flat(5, START)]
    assert len(read(json.dumps(rows).encode())[0]) == 2
    assert len(read(json.dumps(rows, indent=2).encode())[0]) == 2


def test_an_export_of_event_viewer() -> None:
    events, _, _ = read(VIEWER)
    process = events[0].object.process
    assert process is not None
    assert (process.pid, process.command_line, process.user) == (500, "x -y", "LAB\\alice")
    assert events[0].time == 1_714_644_000_000_000_000
    assert (events[1].outcome, events[1].object.name) == ("failure", '"bob"')
    assert events[1].time - events[0].time == 3 * 3600 * 1_000_000_000


def test_a_folder_of_everything(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("w.json", SAMPLES["windows"])
    (tmp_path / "b.log.gz").write_bytes(gzip.compress(SAMPLES["auditd"]))
    with tarfile.open(tmp_path / "c.tar.gz", "w:gz") as tar:
        for name in ("ecs", "cdm"):
            info = tarfile.TarInfo(f"{'long' * 40}/{name}")
            info.size = len(SAMPLES[name])
            tar.addfile(info, io.BytesIO(SAMPLES[name]))
    (tmp_path / "d.txt").write_bytes(b"just text\n")
    (tmp_path / "e.txt").write_bytes(b"")
    source = open_events(tmp_path)
    records = list(source)
    assert [r.where.path.rpartition("!")[2][-6:] for r in records if isinstance(r, Event)] == [
        "w.json", "w.json", "log.gz", "ng/ecs", "ng/ecs", "ng/cdm",
    ]  # fmt: skip
    reasons = [r.reason.split(";")[0] for r in records if isinstance(r, Rejected)]
    assert reasons == ["of no known log format", "empty"]
    assert (source.events, source.rejected) == (6, 2)


def test_no_event_is_an_error_that_names_what_was_seen(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,payload\n1,x\n")
    with pytest.raises(SourceError, match=r"no event could be read \(1 rejected\)") as caught:
        list(open_events(tmp_path))
    assert "begins with b'id,payload" in str(caught.value)
    definitions = lines({"CDMVersion": "18", "datum": {"x.Host": {"uuid": "a"}}})
    with pytest.raises(SourceError, match="1 x definition of a Host"):
        list(open_events("-", stdin=io.BytesIO(definitions)))


def test_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean auditd"):
        open_events(tmp_path, format="audit")
    with pytest.raises(SourceError, match="no such file"):
        open_events(tmp_path / "missing")
    with pytest.raises(SourceError, match="strict mode"):
        list(open_events("-", stdin=io.BytesIO(SAMPLES["windows"] + b"{\n"), strict=True))


def test_damage_keeps_what_came_before() -> None:
    data = gzip.compress(SAMPLES["windows"] * 2_000)
    events, rejects, _ = read(data[: len(data) // 2])
    assert len(events) > 100
    assert "truncated gzip" in rejects[-1].reason
    deep = b'{"EventID": 1, "Channel": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001 + b"\n"
    events, rejects, _ = read(SAMPLES["windows"] + deep)
    assert len(events) == 2
    assert "limits.json_depth" in rejects[0].reason


def test_huge_lines_and_fields() -> None:
    row = flat(1, {**START, "CommandLine": "x" * 100_000, "More": {"a": ["y" * 5_000]}})
    row |= {f"field{n}": "z" for n in range(100)}
    events, _, source = read(lines(row))
    assert len(events[0].object.value) == 32_768
    assert len(events[0].fields) == 32
    assert source.skipped["text cut at limits.event_text"]
    assert source.skipped["fields beyond limits.event_fields"] == 1
    events, rejects, _ = read(lines(row) + SAMPLES["windows"], limits=Limits(line_bytes=3_000))
    assert "limits.line_bytes" in rejects[0].reason
    assert len(events) == 2


def test_text_that_cannot_be_encoded_is_replaced() -> None:
    row = json.dumps(flat(1, {**START, "CommandLine": "a\ud800b"})).encode()
    bad = row.replace(b"child.exe", b"\xff\xfe") + b"\n"
    events, _, _ = read(row + b"\n" + bad)
    assert events[0].object.value == "a\ufffdb"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(st.data(), st.sampled_from(["windows", "ecs", "cdm", "ecar", "eql"]))
def test_any_value_may_stand_anywhere(data: st.DataObject, name: str) -> None:
    """Put any JSON in the place of any part of a good record, at any depth."""
    row = json.loads(SAMPLES[name].splitlines()[0] if name != "eql" else SAMPLES[name])
    place = row[0] if isinstance(row, list) else row
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JSON)
    read(lines(*(row if isinstance(row, list) else [row])), format=name)


@given(st.binary(max_size=200), st.sampled_from(sorted(READERS)))
def test_any_bytes(data: bytes, name: str) -> None:
    read(data, format=name)
    read(data)
