from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.config import Limits
from dragoman.errors import SourceError
from reading import read, read_bytes

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def table(**columns: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, row_group_size=700)
    return out.getvalue()


ROWS = table(
    id=[f"r{i}" for i in range(1500)],
    payload=[None if i == 3 else f"value {i} é" for i in range(1500)],
    other=list(range(1500)),
)


def test_rows_are_read_from_a_file_and_from_memory(tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_bytes(ROWS)
    for found, rejected in (
        read(tmp_path / "p.parquet"),
        read_bytes(ROWS),
        read_bytes(gzip.compress(ROWS)),
    ):
        assert (len(found), found[-1].id, found[-1].where.line) == (1499, "r1499", 1500)
        assert found[0].data == "value 0 é".encode()
        assert [r.reason for r in rejected] == ["payload is NoneType, not text"]


def test_bytes_numbers_and_dictionaries_of_text() -> None:
    found, _ = read_bytes(table(raw=[b"\xff\x00", b"GET / HTTP/1.1\r\n\r\n"], id=[5, 6]))
    assert [(p.id, p.data, p.kind) for p in found] == [
        ("5", b"\xff\x00", "value"),
        ("6", b"GET / HTTP/1.1\r\n\r\n", "http"),
    ]
    coded = table(value=pa.array(["a", "b", "a"]).dictionary_encode())
    assert [p.data for p in read_bytes(coded)[0]] == [b"a", b"b", b"a"]


def test_an_absent_column_is_an_error_that_lists_the_columns() -> None:
    with pytest.raises(SourceError, match=r"no column 'x'; columns: id, other, payload"):
        read_bytes(ROWS, column="x")


def test_damage_is_one_rejected() -> None:
    for data in (ROWS[:-10], b"PAR1" + ROWS[4:400], b"PAR1", b"PAR1" * 100):
        found, rejected = read_bytes(data)
        assert (found, len(rejected)) == ([], 1)
        assert rejected[0].reason.startswith("broken Parquet")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
def test_no_damage_crashes(at: int, noise: bytes) -> None:
    small = table(id=["a", "b"], payload=["x", "y" * 50])
    at = 4 + at % (len(small) - 8)
    try:
        read_bytes(small[:at] + noise + small[at + len(noise) :])
    except SourceError as err:
        if "column" not in err.what:
            raise


def test_a_value_repeated_without_end_stops_at_the_ratio(tmp_path: Path) -> None:
    path = tmp_path / "bomb.parquet"
    value = pa.DictionaryArray.from_arrays(pa.array([0] * 50_000, "int32"), ["A" * 100_000])
    pq.write_table(pa.table({"payload": value}), path)
    assert path.stat().st_size < 100_000
    found, rejected = read(path, limits=Limits(unpack_ratio=50))
    assert 5 < len(found) < 1000
    assert "limits.unpack_ratio = 50" in rejected[0].reason
    pq.write_table(pa.table({"payload": ["A" * 30] * 60_000}), path, row_group_size=2_000_000)
    assert path.stat().st_size < 10_000
    _, rejected = read(path, limits=Limits(unpack_ratio=50))
    assert "limits.unpack_ratio = 50" in rejected[0].reason


def test_a_file_from_standard_input_is_bounded() -> None:
    _, rejected = read_bytes(ROWS, limits=Limits(document_bytes=500))
    assert [r.reason for r in rejected] == ["longer than limits.document_bytes = 500"]
