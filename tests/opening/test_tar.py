"""Tar archives as streams."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dragoman.config import Limits
from dragoman.opening.files import open_streams
from dragoman.opening.stream import Stream
from dragoman.opening.tar import is_tar, untar
from dragoman.records import Rejected


def tarred(members: dict[str, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def contents(data: bytes, limits: Limits = Limits(), step: int = 700) -> list[tuple[str, bytes]]:  # noqa: B008
    pieces = (data[at : at + step] for at in range(0, len(data), step))
    found = []
    for item in untar(Stream("a.tar", pieces, limits)):
        if isinstance(item, Rejected):
            found.append((item.reason, b""))
        else:
            found.append((item.name, item.read_all()))
            if item.fault:
                found.append((item.fault.reason, b""))
    return found


def test_members_in_each_dialect() -> None:
    members = {"a.log": b"x" * 1_500, "d/" + "long" * 60: b"y", "empty": b"", "ü": b"z" * 512}
    expected = [(f"a.tar!{name}", data) for name, data in members.items()]
    for dialect in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        assert contents(tarred(members, dialect)) == expected


def test_unread_members_are_passed_over() -> None:
    data = tarred({"a": b"x" * 5_000, "b": b"y"})
    names = [item.name for item in untar(Stream("t", [data], Limits())) if isinstance(item, Stream)]
    assert names == ["t!a", "t!b"]


def test_links_and_folders_are_passed_over_and_devices_told() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo(f"x{kind!r}")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert contents(out.getvalue()) == [("a special or sparse file of a tar archive", b"")]


def test_damage_and_limits_are_told() -> None:
    data = tarred({"a": b"x" * 5_000, "b": b"y"})
    assert contents(data[:3_000])[-1][0] == "truncated tar archive"
    assert "broken tar archive" in contents(data[:5_632] + b"z" * 2_000)[-1][0]
    assert "limits.zip_members" in contents(data, Limits(zip_members=1))[-1][0]
    assert not is_tar(b"ustar")


def test_a_folder_with_tar_and_gzip_in_it(tmp_path: Path) -> None:
    inner = tarred({"a.gz": gzip.compress(b"one"), "b.zip": b"PK\x03\x04"})
    (tmp_path / "x.tar").write_bytes(inner)
    (tmp_path / "y.tgz").write_bytes(gzip.compress(inner))
    found = [
        item.reason if isinstance(item, Rejected) else item.read_all()
        for item in open_streams(tmp_path, Limits())
    ]
    assert found == [b"one", "an archive inside an archive; unpack it first"] * 2


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 255)), max_size=6))
def test_any_byte_may_be_wrong(changes: list[tuple[int, int]]) -> None:
    data = bytearray(tarred({"a": b"x" * 600, "b" * 120: b"y"}))
    for at, byte in changes:
        data[at] = byte
    contents(bytes(data))
