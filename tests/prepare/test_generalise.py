"""Names become roles; what nobody knows from elsewhere is masked; the tables are sound."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.prepare import generalise as g


@pytest.mark.parametrize(
    ("name", "role"),
    [
        (r"C:\Users\ann\AppData\Local\Temp\aB3xQ9z7.exe", r"%temp%\<random>.exe"),
        (r"c:\windows\temp\x.dll", r"%temp%\x.dll"),
        (r"C:\Users\ann\AppData\Roaming\x", r"%appdata%\x"),
        (r"C:\Users\ann\Desktop\plan.docx", r"%userprofile%\desktop\plan.docx"),
        (r"D:\Program Files (x86)\Acme\a.exe", r"%programfiles%\acme\a.exe"),
        (r"\Device\HarddiskVolume2\Windows\System32\cmd.exe", r"%system32%\cmd.exe"),
        (r"\??\C:\Windows\SysWOW64\cmd.exe", r"%system32%\cmd.exe"),
        (r"\SystemRoot\explorer.exe", r"%systemroot%\explorer.exe"),
        (r"C:\WindowsApps\x.exe", r"%drive%\windowsapps\x.exe"),
        (r"\\dc01\ADMIN$\x.exe", r"\\<host>\admin$\x.exe"),
        (
            r"C:\Windows\WinSxS\amd64_a_6595b64144ccf1df_x",
            r"%systemroot%\winsxs\amd64_a_<random>_x",
        ),
        (r"HKU\S-1-5-21-1-2-3-1000\Software\X", r"hkcu\software\x"),
        (r"\REGISTRY\MACHINE\SOFTWARE\Wow6432Node\X", r"hklm\software\x"),
        (r"HKLM\SYSTEM\ControlSet001\Services\x", r"hklm\system\%controlset%\services\x"),
        ("/home/ann/.bashrc", "~/.bashrc"),
        ("/usr/local/sbin/sshd", "%bin%/sshd"),
        ("/lib/x86_64-linux-gnu/libc.so", "%lib%/libc.so"),
        ("/proc/1234/maps", "/proc/<n>/maps"),
        ("/dev/shm/x", "%temp%/x"),
        ("/binary/x", "/binary/x"),
        ("", ""),
        ('"C:\\Windows\\x.exe"', r"%systemroot%\x.exe"),
    ],
)
def test_paths(name, role):
    assert g.path(name) == role


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("kill -9 31337", "kill -<n> <n>"),
        ("x {01234567-89ab-cdef-0123-456789abcdef} y", "x <guid> y"),
        ("S-1-5-21-1-2-3", "<sid>"),
        ("ping 10.1.2.3", "ping <private>"),
        ("ping 8.8.8.8", "ping <public>"),
        ("92.0.902.67", "<version>"),
        ("mail ann@example.com", "mail <mail>"),
        ("0x1F0FFF deadbeef1234", "<hex> <hex>"),
        ("rundll32 comsvcs.dll, MiniDump 624", "rundll32 comsvcs.dll, minidump <n>"),
        ("copy C:\\Users\\ann\\a.txt  b\n c", r"copy %userprofile%\a.txt b c"),
    ],
)
def test_text(line, masked):
    assert g.text(line) == masked


@pytest.mark.parametrize("word", ["aB3xQ9z7", "xkcdqwrtpl", "a1b2c3d4e5", "Q" * 80])
def test_random_words(word):
    assert g.is_random(word)


@pytest.mark.parametrize(
    "word",
    ["kernel32", "schtasks", "CorperfmonExt", "BackgroundTransferHost", "advapi32", "12345678",
     "NetworkWatcherAgentWindows", "requirements"],
)  # fmt: skip
def test_names_given_by_people(word):
    assert not g.is_random(word)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("10.0.0.1:445", ("private", "445")),
        ("8.8.8.8:50000", ("public", "high")),
        ("8.8.8.8:1234", ("public", "other")),
        ("[fe80::1]:22", ("private", "22")),
        ("127.0.0.1", ("loopback", "")),
        ("srv.example.com:80", ("host", "80")),
        ("a:b:c", ("host", "")),
    ],
)
def test_endpoints(name, expected):
    assert g.endpoint(name) == expected


def test_domains_are_masked_but_for_well_known_public_services():
    assert g.domain("raw.githubusercontent.com") == "githubusercontent.com"
    assert g.domain("dc1.corp.example.com") == "<host>.com"
    assert g.domain("dc1") == "<host>"
    assert g.domain("192.0.2.1") == "<private>"


@pytest.mark.parametrize(
    ("name", "role"),
    [("NT AUTHORITY\\SYSTEM", "system"), ("D\\HOST$", "machine account"), ("root", "root"),
     ("D\\ann", "user"), ("D\\Administrator", "administrator"), ("", "")],
)  # fmt: skip
def test_accounts(name, role):
    assert g.account(name) == role


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (r"HKU\S-1-5-21-1\Software\Microsoft\Windows\CurrentVersion\Run\x", "starts programs"),
        (r"HKLM\System\CurrentControlSet\Services\x\ImagePath", "of a service"),
        (r"C:\Users\a\AppData\Roaming\Microsoft\Windows\Start Menu\Programs\Startup\x", "startup"),
        ("/etc/systemd/system/x.service", "definition of a service"),
        ("/root/.ssh/authorized_keys", "keys that may log in"),
        ("/var/spool/cron/root", "scheduled jobs"),
    ],
)
def test_places_that_decide_what_runs_later(name, words):
    role = g.path(name)
    assert g.is_autostart(role)
    assert words in g.area(role)


@pytest.mark.parametrize("name", [r"C:\Users\a\x.txt", "/home/a/notes", r"HKCU\Software\Acme"])
def test_other_places(name):
    assert not g.is_autostart(g.path(name))
    assert g.area(g.path(name)) == ""


def test_what_masks_made_is_not_masked_again():
    once = g.path(
        r"C:\Users\ann\AppData\Local\Temp\aB3xQ9z7\12\{01234567-89ab-cdef-0123-456789abcdef}"
    )
    assert g.text(once) == once


@given(st.text(max_size=300))
def test_any_text_is_generalised_to_bounded_lower_case(line):
    for function in (g.path, g.text, g.image, g.domain, g.account):
        assert len(function(line)) < 16 * len(line) + 40
    assert g.text(line) == g.text(line).lower()
    assert g.area(g.path(line)) is not None
    assert len(g.endpoint(line)) == 2


@pytest.mark.parametrize("unit", ["a", "-1", "\\", "a@", "0x", "1.", "{0", "A1b", "/tmp/", "+"])
def test_a_megabyte_takes_no_time(unit):
    line = unit * (1_000_000 // len(unit))
    began = time.process_time()
    assert len(g.text(line)) < 20_000
    assert len(g.path(line)) < 10_000
    assert time.process_time() - began < 2
