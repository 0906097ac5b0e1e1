"""Hostile input, end to end: `dragoman scan` as a user runs it, and `Engine.explain` on any bytes.

Whatever comes in, the exit code is the contract's, no traceback is shown, and memory and time stay
bounded.
"""

import gzip
import io
import json
import subprocess
import sys
import time
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dragoman import Engine
from dragoman.config import Config, Limits
from dragoman.errors import UsageError

PEAK_MB = 700
SECONDS = 60
DONE, UNREADABLE = 0, 3
HEAD = b"POST /a HTTP/1.1\r\nHost: example.com\r\nContent-Type: %s\r\n%s\r\n"


# Runs a command and writes down its peak memory. A process of its own: a child's figure begins with
# that of the process it was forked from.
WATCHER = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
open(sys.argv[1], "w").write(str(peak))
sys.exit(code)
"""


@pytest.fixture(scope="module")
def scan(bundle_path, tmp_path_factory):
    """Run ``dragoman scan`` in a process of its own; the exit code and what it printed."""
    folder = tmp_path_factory.mktemp("scan")
    options = ["--bundle", str(bundle_path), "--intel", str(folder / "intel")]

    def run(*args, stdin=b""):
        command = [sys.executable, "-m", "dragoman", "scan", *map(str, args), *options]
        watched = [sys.executable, "-c", WATCHER, str(folder / "peak"), *command]
        done = subprocess.run(watched, input=stdin, capture_output=True, timeout=SECONDS)
        output = (done.stdout + done.stderr).decode("utf-8", "backslashreplace")
        assert "Traceback" not in output
        assert 0 <= done.returncode < 128, f"killed: {done.returncode}"
        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        peak = int((folder / "peak").read_text()) / unit
        assert peak < PEAK_MB, f"{peak:.0f} MB"
        return done.returncode, output

    return run


def deep(opening: bytes, closing: bytes, depth=20_000) -> bytes:
    return opening * depth + b"1" + closing * depth


BOMB = b"""<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">%s]><l>&z;</l>""" % b"".join(
    b'<!ENTITY %c "%s">' % (c, b"&%c;" % (c - 1) * 10) for c in range(ord("b"), ord("z") + 1)
)

# Single records that are parsed whatever they hold.
RECORDS = {
    "invalid UTF-8": b"GET /\xff\xfe?\x80=\xc3\x28 HTTP/1.1\r\nHost: \xed\xa0\x80\r\n\r\n\xf5\xff",
    "NUL bytes": b"GET /a\0b?c=\0\0 HTTP/1.1\r\nX: \0\r\n\r\n" + bytes(1000),
    "nested JSON": HEAD % (b"application/json", b"") + deep(b'{"a":[', b"]}"),
    "nested XML": HEAD % (b"text/xml", b"") + deep(b"<a>", b"</a>"),
    "XML entity bomb": HEAD % (b"application/xml", b"") + BOMB,
    "gzip bomb body": HEAD % (b"text/plain", b"Content-Encoding: gzip\r\n")
    + gzip.compress(bytes(200 << 20)),
    "multipart without an end": HEAD % (b"multipart/form-data; boundary=X", b"")
    + b"--X\r\n" * 50_000,
    "many headers": b"GET / HTTP/1.1\r\n" + b"A: ;\r\n" * 100_000 + b"\r\n",
    "many parameters": b"GET /?" + b"a=;&" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "deep percent encoding": b"GET /?a=%" + b"25" * 100_000 + b"3C HTTP/1.1\r\n\r\n",
    "terminal escapes": b"GET /?a=\x1b]0;owned\x07<script>\x1b[2J HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_hostile_request(scan, tmp_path, name):
    path = tmp_path / "request.http"
    path.write_bytes(RECORDS[name])
    code, output = scan(path, "--format", "http")
    assert code == DONE
    assert "1 parsed" in output
    assert "\x1b]0" not in output
    assert "\x1b[2J" not in output


def test_a_line_of_100_mb(scan, tmp_path):
    path = tmp_path / "line.txt"
    with path.open("wb") as file:
        file.write(b"' or 1=1 -- \n")
        for _ in range(100):
            file.write(b"<script>" * (1 << 17))
        file.write(b"\nlast line; id\n")
    for form in ("lines", "jsonl", "access"):
        code, output = scan(path, "--format", form)
        assert code == (DONE if form == "lines" else UNREADABLE)
        if form == "lines":
            assert "2 parsed · 1 rejected" in output


def test_many_long_lines_do_not_fill_the_memory(scan, tmp_path):
    path = tmp_path / "lines.txt"
    with path.open("wb") as file:
        for number in range(600):
            file.write(b"%d<" % number + b"a;" * 30_000 + b"\n")
    code, output = scan(path, "--format", "lines")
    assert code == DONE
    assert "600 parsed" in output


@pytest.mark.parametrize("depth", [100, 100_000])
def test_nested_json_lines_are_rejected(scan, tmp_path, depth):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"payload": "x; id"}\n{"payload": ' + deep(b"[", b"]", depth) + b"}\n")
    code, output = scan(path, "--format", "jsonl", "--column", "payload")
    assert code == DONE
    assert "1 parsed · 1 rejected" in output


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"log": {"entries": [{"request": 5}, 7',
        '{"log": []}',
        '{"log": {"entries": [null, {"request": {"url": {}}}]}}',
    ],
)
def test_a_broken_har(scan, tmp_path, text):
    path = tmp_path / "broken.har"
    path.write_text(text)
    assert scan(path, "--format", "har")[0] == UNREADABLE
    assert scan(path)[0] in (DONE, UNREADABLE)  # sniffed: it may be read as a line


def test_a_gzip_bomb(scan, tmp_path):
    path = tmp_path / "bomb.txt.gz"
    path.write_bytes(gzip.compress(b"a\n" + bytes(300 << 20), 9))
    code, output = scan(path)
    assert code in (DONE, UNREADABLE)
    assert "unpack_ratio" in output or "rejected" in output


def test_a_zip_bomb(scan, tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.txt", bytes(100 << 20))
        archive.writestr("last.txt", "x; id\n")
    assert scan(path)[0] in (DONE, UNREADABLE)


def test_a_zip_of_zips_and_names_that_climb(scan, tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.txt", "x; id\n")
    path = tmp_path / "outer.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../climb.txt", "y; id\n")
        archive.writestr("inner.zip", inner.getvalue())
    assert scan(path)[0] in (DONE, UNREADABLE)
    assert not list(tmp_path.parent.glob("climb.txt"))


@pytest.mark.parametrize("kept", [5, 40, 0.5, -4])
def test_a_truncated_gzip(scan, tmp_path, kept):
    lines = b"".join(b"%d; id %d\n" % (i, i * i) for i in range(5000))
    packed = gzip.compress(lines)
    path = tmp_path / "cut.txt.gz"
    path.write_bytes(packed[: int(kept * len(packed)) if kept == 0.5 else kept])
    code, output = scan(path, "--format", "lines")
    assert code == UNREADABLE or (code == DONE and "0 rejected" not in output)


def test_inputs_that_hold_nothing(scan, tmp_path):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "folder").mkdir()
    assert scan(tmp_path / "empty.txt")[0] == UNREADABLE
    assert scan(tmp_path / "folder")[0] == UNREADABLE
    assert scan(tmp_path / "missing.txt")[0] == UNREADABLE
    assert scan("-")[0] == UNREADABLE


def test_a_directory_with_good_and_bad_files(scan, tmp_path):
    (tmp_path / "a.http").write_bytes(b"GET /?a=;id HTTP/1.1\r\nHost: example.com\r\n\r\n")
    (tmp_path / "b.gz").write_bytes(b"\x1f\x8bnot gzip")
    (tmp_path / "c.zip").write_bytes(b"PK\x03\x04broken")
    (tmp_path / "d.parquet").write_bytes(b"PAR1" + bytes(40) + b"PAR1")
    (tmp_path / "e.bin").write_bytes(bytes(range(256)) * 40)
    code, output = scan(tmp_path)
    assert code == DONE
    assert "0 rejected" not in output


def test_wrong_use(scan, tmp_path):
    (tmp_path / "a.txt").write_text("x\n")
    assert scan(tmp_path / "a.txt", "--format", "nonsense")[0] == 2
    assert scan(tmp_path / "a.txt", "--strict", "--format", "har")[0] == UNREADABLE


# -- the library -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(bundle_path):
    return Engine.load(bundle_path)


PIECES = st.sampled_from(
    [
        b"GET /",
        b"POST /x HTTP/1.1\r\n",
        b"\r\n\r\n",
        b"?",
        b"a=",
        b"&",
        b"Cookie: a=",
        b"%3Cscript%3E",
        b"Content-Encoding: gzip\r\n",
        gzip.compress(b"<script>"),
        b"Content-Type: text/xml\r\n",
        b"<a ",
        b'{"a": "',
        b"\\u00",
        b"' or 1=1",
        b"${jndi:",
        b"\xff",
        b"\0",
        b"../",
        "ｓ".encode(),
        b"+ADw-",
    ]
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=st.binary(max_size=2000)
    | st.lists(PIECES | st.binary(max_size=9), max_size=30).map(b"".join),
    kind=st.sampled_from([None, "http", "value"]),
)
def test_any_bytes_can_be_explained(engine, data, kind):
    found = engine.explain(data, kind=kind)
    assert 0 <= found.score <= 1
    assert (found.finding is not None) is (found.score >= found.threshold)
    json.dumps(found.to_dict())
    for reading in found.readings:
        assert 0 <= reading.span[0] <= reading.span[1] <= len(data)


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=300))
def test_any_text_can_be_explained(engine, text):
    json.dumps(engine.explain(text).to_dict())


@pytest.mark.parametrize(
    "unit", [b"%", b"A", b'<a ="', b"\xcc\x80\xcc\x96", b"&#x3c;", b"a=;&", b"\0"]
)
def test_a_payload_as_long_as_the_limit(engine, unit):
    size = Limits().record_bytes
    data = (unit * (size // len(unit) + 1))[:size]
    began = time.process_time()
    assert 0 <= engine.explain(data).score <= 1
    assert time.process_time() - began < 20


def test_a_payload_above_the_limit_names_it(bundle_path):
    small = Engine.load(bundle_path, config=Config(limits=Limits(record_bytes=10)))
    with pytest.raises(UsageError, match=r"limits\.record_bytes"):
        small.explain(b"12345678901")
