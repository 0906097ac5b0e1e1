"""Payloads of the benchmark are inert and do not name themselves."""

import base64
import re
import time
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.dataset.checks import fault, leak, reserve
from dragoman.intel import benchmark
from dragoman.synth import generate

INERT = [
    "1' UNION SELECT password FROM users-- -",
    "http://attic.example.com/a.dtd",
    "http://127.0.0.1:8080/ http://[::1]/ http://192.168.1.1/ http://0x7f000001/ http://2130706433/",
    "http://169.254.169.254/latest/meta-data/ //198.51.100.7/x",
    "http://metadata.google.internal/",
    "https://a.example.net@b.test/x",
    '<x xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"/>',
    "javax.naming.InitialContext System.Net.Sockets document.cookie config.php a.co.b",
    "PresentationFramework, Version=4.0.0.0, Culture=neutral",
    "/var/run/secrets/kubernetes.io/serviceaccount/token",
    "phar://a.zip/b.txt",
]
LIVE = [
    ("http://sample-host.com/x", "sample-host.com"),
    ("https://www.example.com.sample.io/", "www.example.com.sample.io"),
    ("nslookup a.b.notexample.com", "a.b.notexample.com"),
    ("//93.184.1.1/x", "93.184.1.1"),
    ("ping -c 1 8.8.8.8", "8.8.8.8"),
    ("http://[2606:2800:220:1::1]/", "2606:2800:220:1::1"),
    ("http://134744072/", "134744072"),
    ("http://0x08080808/", "0x08080808"),
    ("mail a@sample-host.org", "sample-host.org"),
    ("ldap://x.sample.zone/a", "x.sample.zone"),
]
DESTRUCTIVE = [
    "; rm -rf /tmp/x",
    "'; DROP TABLE users--",
    "1; delete from logs",
    "x'; UPDATE users SET role=1--",
    "'; SHUTDOWN--",
    "echo x > /etc/passwd",
    "<?php unlink('a'); ?>",
    ":(){ :|:& };:",
    "powershell Remove-Item x",
]
NAMES = [
    "<script>alert('XSS')</script>",
    "sql_injection_test",
    "/evil.dtd",
    "SSRF-check",
    "cve-2020-12345",
    "Cross Site Scripting",
    "&xxe;",
]


@pytest.mark.parametrize("text", INERT)
def test_inert(text):
    assert fault(text.encode()) is None
    assert reserve(text) == text


@pytest.mark.parametrize(("text", "host"), LIVE)
def test_other_hosts_are_found_and_replaced(text, host):
    assert fault(text.encode()) == f"a host or address that is not reserved: {host!r}"
    changed = reserve(f"{text} {text}")
    assert fault(changed.encode()) is None
    assert changed == " ".join([changed.split(" ", text.count(" ") + 1)[-1]] * 2)


@pytest.mark.parametrize("text", DESTRUCTIVE)
def test_destructive(text):
    assert str(fault(text.encode())).startswith("destructive: ")


@pytest.mark.parametrize("text", NAMES)
def test_names(text):
    assert str(fault(text.encode())).startswith("names what it is: ")
    assert leak(text)


@pytest.mark.parametrize("text", ["classroom", "sources/rcexpand", "medieval", "0xxe1", "revile"])
def test_words_that_only_hold_a_name(text):
    assert leak(text) is None


@pytest.mark.parametrize("text", [LIVE[0][0], DESTRUCTIVE[1], NAMES[0]])
@pytest.mark.parametrize(
    "encode",
    [
        lambda s: quote(s, safe=""),
        lambda s: quote(quote(s, safe=""), safe=""),
        lambda s: base64.b64encode(s.encode()).decode(),
        lambda s: "".join(f"&#{ord(c)};" for c in s),
        lambda s: "".join(f"\\u{ord(c):04x}" for c in s),
    ],
)
def test_nothing_hides_behind_an_encoding(text, encode):
    assert fault(encode(text).encode())


@given(st.binary(max_size=400))
def test_any_bytes_are_judged(data):
    assert fault(data) is None or isinstance(fault(data), str)


@given(st.text(max_size=200))
def test_replacing_twice_changes_nothing_more(text):
    once = reserve(text)
    assert reserve(once) == once


@pytest.mark.parametrize(
    "text", ["a." * 2000, "a-" * 2000, "1." * 2000, "http://" * 600, "xmlns='" * 600, "(" * 4000]
)
def test_hostile_values_are_judged_quickly(text):
    began = time.process_time()
    fault(text.encode())
    assert time.process_time() - began < 2


# -- what the grammars write, judged by expressions that are not those of the checks -------------

DEEDS = re.compile(
    r"\brm\s+-|\bmkfs|\bdd\s+if=|\bshutdown\b|\bformat\s+c:|\bdel\s+/|\bdrop\s+table|"
    r"\btruncate\s+table|\bdelete\s+from|\bshred\b|\bfdisk\b|remove-item\b",
    re.I,
)
URL = re.compile(
    r"(?:https?|ftp|ldap)://(?:[^/@\s]*@)?([a-z0-9.-]+\.(?:com|net|org|io))\b(?!\.?[\w-])", re.I
)
RESERVED = re.compile(r"(?:^|\.)example\.(?:com|net|org)$")
SCHEMAS = re.compile(
    r"\.?(?:w3\.org|xmlsoap\.org|microsoft\.com|sun\.com|bea\.com|apache\.org|springframework\.org|"
    r"opengis\.net|sitemaps\.org|php\.net|openxmlformats\.org|datacontract\.org|omg\.org|yaml\.org|"
    r"topografix\.com|adobe\.com|macromedia\.com|googleapis\.com)$"
)


@pytest.mark.parametrize("slug", benchmark())
def test_every_class_of_the_grammars_is_inert(slug):
    faults = 0
    for sample in generate(slug, 1000, 21):
        text = sample.payload.decode("utf-8", "replace")
        for reading in (text, unquote(unquote(text)), unquote(text).replace("+", " ")):
            assert not DEEDS.search(reading), (sample.template, reading)
        for host in URL.findall(text):
            assert RESERVED.search(host.lower()) or SCHEMAS.search(host.lower()), host
        faults += fault(sample.payload) is not None
    assert faults < 0.15 * 1000  # the checks take the rest out: mostly words that name the class
