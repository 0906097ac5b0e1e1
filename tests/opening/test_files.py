from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dragoman.config import Limits
from dragoman.errors import SourceError
from reading import read, read_bytes, zipped

VALUES = b"1' or '1'='1\nplain value\n"


def test_plain_gzip_zip_and_standard_input_read_the_same(tmp_path: Path) -> None:
    forms = {
        "v.txt": VALUES,
        "v.txt.gz": gzip.compress(VALUES),
        "magic": gzip.compress(VALUES),
        "v.zip": zipped({"v.txt": VALUES}),
        "gz-in.zip": zipped({"v.txt.gz": gzip.compress(VALUES)}),
    }
    for name, data in forms.items():
        path = tmp_path / name
        path.write_bytes(data)
        for found, rejected in (read(path), read_bytes(data)):
            assert [p.data for p in found] == VALUES.splitlines()
            assert rejected == []


def test_ids_and_places_name_the_file_and_the_line(tmp_path: Path) -> None:
    (tmp_path / "v.zip").write_bytes(zipped({"in/v.txt": VALUES}))
    found, _ = read(tmp_path / "v.zip")
    assert found[1].id == f"{tmp_path}/v.zip!in/v.txt#2"
    assert str(found[1].where) == f"{tmp_path}/v.zip!in/v.txt:2"
    assert read_bytes(VALUES)[0][0].id == "-#1"


def test_a_directory_is_read_in_sorted_order_whatever_it_holds(tmp_path: Path) -> None:
    (tmp_path / "b" / "deep").mkdir(parents=True)
    (tmp_path / "b" / "deep" / "one.http").write_bytes(b"GET /one HTTP/1.1\r\n\r\n")
    (tmp_path / "a.txt").write_bytes(b"value\n")
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b'{"payload": "x"}\n'))
    (tmp_path / "d.zip").write_bytes(zipped({"1.txt": b"in zip\n", "2.csv": b"id,payload\n7,y\n"}))
    (tmp_path / "e.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (tmp_path / "f.txt").write_bytes(b"")
    found, rejected = read(tmp_path)
    assert [p.data.split(b"\r\n")[0] for p in found] == [
        *(b"value", b"GET /one HTTP/1.1", b"x", b"in zip", b"y")
    ]
    assert [r.reason for r in rejected] == ["of no known format; name one if it is", "empty"]
    assert (found, rejected) == read(tmp_path)


def test_a_dash_reads_the_standard_input_of_the_process() -> None:
    code = "from dragoman.sources import open_source; print([r.data for r in open_source('-')])"
    ran = subprocess.run(
        [sys.executable, "-c", code], input=VALUES, capture_output=True, check=True
    )
    assert ran.stdout.strip() == repr(VALUES.splitlines()).encode()


def test_globs_and_lists_of_paths(tmp_path: Path) -> None:
    for name in ("b.log", "a.log", "c.txt"):
        (tmp_path / name).write_bytes(name.encode() + b"\n")
    found, _ = read([f"{tmp_path}/*.log", tmp_path / "c.txt"])
    assert [p.data for p in found] == [b"a.log", b"b.log", b"c.txt"]


@pytest.mark.parametrize("path", ["missing.log", "*.nothing"])
def test_a_path_that_is_not_there_is_an_error_at_once(tmp_path: Path, path: str) -> None:
    from dragoman.sources import open_source

    with pytest.raises(SourceError, match=path.replace("*", r"\*")):
        open_source(tmp_path / path)
    with pytest.raises(SourceError, match="no input"):
        open_source([])


def test_special_files_and_links_in_a_directory_are_not_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    found, rejected = read(tmp_path)
    assert found == []
    assert [r.reason for r in rejected] == [
        "cannot be read: No such file or directory",
        "not a regular file",
        "not a regular file",
    ]


def test_names_that_are_not_text_can_still_be_shown(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_bytes(b"v\n")
    found, _ = read(tmp_path)
    assert found[0].where.path.encode("utf-8").endswith(b"\\udcff.txt")


def test_truncated_gzip_keeps_what_was_read(tmp_path: Path) -> None:
    lines = b"".join(b"value %d %d\n" % (i, i * 7919 % 10007) for i in range(5000))
    path = tmp_path / "v.gz"
    path.write_bytes(gzip.compress(lines)[:-4000])
    found, rejected = read(path)
    assert 100 < len(found) < 5000
    assert [p.data for p in found] == lines.splitlines()[: len(found)]
    assert [r.reason.split(":")[0] for r in rejected] == ["truncated gzip data"]
    with pytest.raises(SourceError, match="truncated gzip"):
        read(path, strict=True)


def test_a_file_named_gz_that_is_none_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "v.gz").write_bytes(b"plain words\n")
    assert [r.reason for r in read(tmp_path / "v.gz")[1]] == ["named .gz, but holds no gzip data"]


@pytest.mark.parametrize("inner", [zipped({"a.txt": b"x\n"}), gzip.compress(gzip.compress(b"x"))])
def test_archives_inside_archives_are_rejected(inner: bytes) -> None:
    found, rejected = read_bytes(zipped({"inner": inner, "v.txt": b"after\n"}))
    assert [p.data for p in found] == [b"after"]
    assert [(r.where.path, r.reason.split(";")[0]) for r in rejected] == [
        ("-!inner", "an archive inside an archive")
    ]
    assert "archive inside" in read_bytes(gzip.compress(inner))[1][0].reason


def test_a_zip_bomb_stops_at_the_ratio_and_at_the_size(tmp_path: Path) -> None:
    bomb = zipped({f"{i}.txt": (b"A" * 98 + b"\n") * 40_000 for i in range(3)})
    for limits, key in (
        (Limits(unpack_ratio=100), "unpack_ratio = 100"),
        (Limits(unpacked_bytes=1 << 20), "unpacked_bytes = 1048576"),
    ):
        found, rejected = read_bytes(bomb, limits=limits)
        assert len(rejected) == 1
        assert f"limits.{key}" in rejected[0].reason
        assert len(found) < 80_000  # of 120,000


def test_gzip_in_zip_is_counted_against_the_same_budget() -> None:
    bomb = zipped({"v.gz": gzip.compress(b"A" * (4 << 20))})
    _, rejected = read_bytes(bomb, limits=Limits(unpack_ratio=500))
    assert "limits.unpack_ratio = 500" in rejected[0].reason


def test_too_many_zip_members_are_refused() -> None:
    data = zipped({f"{i}.txt": b"x\n" for i in range(12)})
    found, rejected = read_bytes(data, limits=Limits(zip_members=11))
    assert (found, len(rejected)) == ([], 1)
    assert "12 members, more than limits.zip_members = 11" in rejected[0].reason
    assert len(read_bytes(data, limits=Limits(zip_members=12))[0]) == 12


def test_a_huge_zip_directory_is_refused_before_it_is_parsed() -> None:
    data = zipped({f"{'n' * 900}{i}.txt": b"" for i in range(400)})
    found, rejected = read_bytes(data, limits=Limits(zip_members=10))
    assert found == []
    assert "limits.zip_members" in rejected[0].reason


def test_a_zip_on_standard_input_is_bounded() -> None:
    data = zipped({"v.txt": bytes(range(256)) * 20}, zipfile.ZIP_STORED)
    _, rejected = read_bytes(data, limits=Limits(document_bytes=4000))
    assert [r.reason for r in rejected] == ["longer than limits.document_bytes = 4000"]


def test_broken_zips_keep_what_can_be_read(tmp_path: Path) -> None:
    data = zipped({"1.txt": b"first\n", "2.txt": b"second\n"}, zipfile.ZIP_STORED)
    assert "broken zip" in read_bytes(data[:-30])[1][0].reason
    found, rejected = read_bytes(data.replace(b"second", b"sEcond", 1))
    assert b"first" in [p.data for p in found]
    assert "broken zip member: Bad CRC" in rejected[0].reason


def test_encrypted_and_unusual_zip_members_are_rejected() -> None:
    data = bytearray(zipped({"v.txt": b"secret\n"}))
    at = data.index(b"PK\x01\x02")
    data[at + 8 : at + 10] = struct.pack("<H", 1)
    assert [r.reason for r in read_bytes(bytes(data))[1]] == ["encrypted zip member"]
    unusual = zipped({"v.txt": b"x\n"}, zipfile.ZIP_BZIP2)
    assert "compression method 12" in read_bytes(unusual)[1][0].reason


def test_an_unreadable_named_file_is_an_error(tmp_path: Path) -> None:
    from dragoman.sources import open_source

    (tmp_path / "gone").write_bytes(b"x\n")
    source = open_source(tmp_path / "gone")
    (tmp_path / "gone").unlink()
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        list(source)
