from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest

from dragoman.config import Limits
from dragoman.errors import SourceError
from dragoman.records import Labelled, Rejected
from dragoman.sources import read_labelled


def lines(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


FULL = {
    "id": "x1",
    "payload": "a=1' or 1=1",
    "kind": "value",
    "label": "sql-injection",
    "cve": ["CVE-2020-0001"],
    "cwe": ["CWE-89"],
    "group": "host-1",
    "year": 2020,
    "text": "words about it",
}


def test_every_field_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines(FULL)))
    (tmp_path / "b.jsonl").write_bytes(lines({"payload_b64": "AP8=", "label": None}))
    first, second = read_labelled(tmp_path)
    assert isinstance(first, Labelled)
    assert (first.payload.id, first.payload.data) == ("x1", b"a=1' or 1=1")
    assert (first.label, first.cve, first.cwe) == (
        *("sql-injection", ("CVE-2020-0001",), ("CWE-89",)),
    )
    assert (first.group, first.year, first.text) == ("host-1", 2020, "words about it")
    assert isinstance(second, Labelled)
    assert (second.payload.data, second.label, second.cve) == (b"\x00\xff", None, ())
    assert second.payload.id == f"{tmp_path}/b.jsonl#1"


@pytest.mark.parametrize("label", ["attack", "benign", "xml-external-entity", None])
def test_labels_that_fit(label: str | None) -> None:
    (row,) = read_labelled("-", stdin=io.BytesIO(lines({"payload": "x", "label": label})))
    assert isinstance(row, Labelled)
    assert row.label == label


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"label": "SQL injection"}, "label must be"),
        ({"label": 1}, "label must be"),
        ({"cve": "CVE-2020-0001"}, "cve must be a list"),
        ({"cwe": [89]}, "cwe must be a list"),
        ({"year": "2020"}, "year must be int"),
        ({"year": True}, "year must be int"),
        ({"group": 1}, "group must be str"),
        ({"payload": None}, "neither payload nor payload_b64"),
        ({"kind": "x"}, "kind must be"),
        ({"payload": "x" * 100}, "limits.record_bytes = 50"),
    ],
)
def test_rows_that_do_not_fit_are_rejected_with_a_reason(
    change: dict[str, object], reason: str
) -> None:
    data = lines(FULL | change, FULL)
    first, second = read_labelled("-", Limits(record_bytes=50), stdin=io.BytesIO(data))
    assert isinstance(first, Rejected)
    assert reason in first.reason
    assert first.where.line == 1
    assert isinstance(second, Labelled)


def test_bad_lines_truncated_files_and_missing_paths() -> None:
    packed = gzip.compress(b"not json\n[]\n" + lines(FULL) * 3)[:-12]
    records = list(read_labelled("-", stdin=io.BytesIO(packed)))
    assert [r.reason.split(":")[0] for r in records if isinstance(r, Rejected)] == [
        *("not JSON", "not a JSON object", "truncated gzip data")
    ]
    with pytest.raises(SourceError, match="no such file"):
        read_labelled("missing.jsonl")
