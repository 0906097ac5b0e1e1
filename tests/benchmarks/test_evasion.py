"""Evasions: each changes the spelling only, and what detection loses is counted."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from urllib.parse import unquote

import pytest

pytest.importorskip("sklearn", reason="the peers need the extra [train]")
import evasion
import evasions
import tricks
from attacks import Attack, cut, made
from evasions import HELD_OUT, KNOWN
from hypothesis import given
from hypothesis import strategies as st
from judges import OfEngine

from dragoman import Engine
from dragoman.records import Payload

TRICKS = {(name, slugs): trick for slugs, _, name, trick in tricks.TRICKS}


def trick(name: str, slug: str):
    return next(t for (n, slugs), t in TRICKS.items() if n == name and slug in slugs)


def attack(value: str, slug: str) -> Attack:
    found = cut({"id": value, "payload": value, "kind": "value", "label": slug})
    assert found is not None
    return found


def query(value: str, slug: str) -> Attack:
    text = f"GET /a?x=1&id={value} HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
    found = cut({"id": value, "payload": text, "kind": "http", "label": slug})
    assert found is not None
    return found


class Words:
    """A judge that needs a literal word and so misses every other spelling of it."""

    name, threshold = "words", 0.5

    def classify(self, payloads: Sequence[Payload]) -> list[str]:
        return ["sql-injection"] * len(payloads)

    def detect(self, payloads: Sequence[Payload]) -> list[float]:
        return [float(b"union select" in p.data.replace(b"%20", b" ")) for p in payloads]


@pytest.mark.parametrize(
    ("name", "slug", "value", "pattern"),
    [
        ("hash comments", "sql-injection", "1 union select 2", r"1#(\w+)\nunion#\1\nselect#\1\n2"),
        ("brackets for spaces", "sql-injection", "1 or 2=2", r"1 or\(2\)=\(2\)"),
        ("in script tags", "cross-site-scripting", "<script>x", r"<script[\n/\f][\w ]*>x"),
        ("path parameters", "path-traversal", "../../a", r"\.\.;(\w+)=1/\.\.;\1=1/a"),
        ("overlong slash", "path-traversal", "../a", "..\xc0\xafa"),
        ("braces", "command-injection", ";cat /etc/passwd", r";\{cat,/etc/passwd\}"),
        ("PHP names in parts", "code-injection", "system('id')", r'\("\w+"\."\w+"\)\(\'id\'\)'),
        ("attributes in parts", "code-injection", "{{x.__class__}}", r"\{\{x\['__cl'~?'ass__'\]}}"),
        ("signed lengths", "unsafe-deserialization", 'O:3:"Foo":0:{}', r'O:\+3:"Foo":0:\{\}'),
        ("one of the two", "crlf-injection", "\r\nX: y", r"[\r\n]X: y"),
        ("bare file name", "file-upload", 'filename="a.php"', r"filename='?a\.php'?"),
        ("other quotes", "xml-external-entity", 'SYSTEM "file:///a"', r"SYSTEM 'file:///a'"),
    ],
)  # fmt: skip
def test_a_trick(name: str, slug: str, value: str, pattern: str) -> None:
    for seed in range(8):
        assert re.fullmatch(pattern, trick(name, slug)(value, Random(seed)))


def test_code_in_base64_is_the_command() -> None:
    out = trick("base64 to a shell", "command-injection")(";cat /etc/passwd", Random(1))
    code = re.fullmatch(r";echo (\S+)\|base64 -d\|(?:ba)?sh", out)
    assert code is not None
    assert base64.b64decode(code[1]) == b"cat /etc/passwd"


def test_escaped_keys_are_the_same_json() -> None:
    for seed in range(8):
        out = trick("escaped keys", "unsafe-deserialization")('{"@type": "a.B"}', Random(seed))
        assert "@type" not in out
        assert json.loads(out.replace("\\x40", "\\u0040")) == {"@type": "a.B"}


def test_called_names_are_put_together() -> None:
    out = trick("called by name", "cross-site-scripting")("<img onerror=alert(1)>", Random(1))
    parts = re.search(r"\[`(\w+)`\+`(\w+)`\]\(1\)>$", out)
    assert parts is not None
    assert parts[1] + parts[2] == "alert"


@given(st.text(st.characters(max_codepoint=255), max_size=120), st.integers(0, 9))
def test_any_text_survives_every_trick(text: str, seed: int) -> None:
    for change in TRICKS.values():
        out = change(text, Random(seed))
        assert out.encode("latin-1").decode("latin-1") == out


def test_every_trick_fits_something() -> None:
    values = [a for a in made(3, 400) if a.slug != "file-upload"]
    part = 'Content-Disposition: form-data; name="f"; filename="a.php"\n\n<?php echo 1;'
    values.append(attack(part, "file-upload"))
    values.append(attack('<!--#exec cmd="id" -->', "code-injection"))
    used = {
        e.name
        for a in values
        for e in HELD_OUT
        if e.trick and e.fits(a) and evasion.written(a, (e,), 1) is not None
    }
    assert {name for name, _ in TRICKS} - used == set()


def test_wrappers_by_place() -> None:
    one = query("1%20union%20select%202", "sql-injection")
    done = {
        e.name: evasion.written(one, (e,), 1)
        for e in (*KNOWN, *HELD_OUT)
        if e.wrapper and e.fits(one)
    }
    assert "JSON escapes" not in done
    for name, times in (("percent once more", 2), ("percent twice more", 3)):
        target = (done[name] or b"").split(b" ")[1].decode()
        for _ in range(times):
            target = unquote(target)
        assert target == "/a?x=1&id=1 union select 2"
    assert (done["repeated parameter"] or b"").count(b"&id=") == 2
    spread = (done["spread over two"] or b"").split(b" ")[1].decode()
    joined = unquote(spread.replace("*/", "*/").replace("/*&id=*/", "/*,*/"))
    assert re.sub(r"/\*,\*/", " ", joined) == "/a?x=1&id=1 union select 2"


def test_the_two_pools_share_nothing() -> None:
    names = [(e.kind, e.name, e.slugs) for e in (*KNOWN, *HELD_OUT)]
    assert len(set(names)) == len(names)
    assert {e.kind for e in HELD_OUT} == {
        "case", "comments", "whitespace", "encoding", "concatenation", "pollution", "spelling",
        "padding",
    }  # fmt: skip


def test_a_chain_grows_by_one_trick_at_a_time() -> None:
    one = query("1%20or%20'ab'='ab'%20union%20select%20'cd',2", "sql-injection")
    chosen = evasion.chain(one, HELD_OUT, 1)
    assert len({e.name for e in chosen}) == 3
    records = {evasion.written(one, chosen[:n], 1) for n in range(4)}
    assert len(records) == 4
    assert None not in records


def test_a_judge_of_words_is_evaded() -> None:
    some = [query(f"{i}%20union%20select%202", "sql-injection") for i in range(6)]
    some.append(query("1'%20or%201=1--", "sql-injection"))
    found = evasion.evade(Words(), some)
    assert (found["attacks"], found["detected"]) == (7, 6)
    assert found["rewritten"]["share"] == 0
    lost = found["held-out"]["evasions"]
    assert lost["comments: words in comments (sql-injection)"]["share"] == 1
    assert lost["pollution: repeated parameter"]["share"] == 0
    examples = found["held-out"]["examples"]["comments: words in comments (sql-injection)"]
    assert "union select" in unquote(examples[0]["value"])
    assert set(found["curve"]["both"]) == {"1", "2", "3"}


def test_the_engine_holds_out(bundle_path: Path) -> None:
    some = [query(f"%3Cscript%3Ealert({i})%3C/script%3E", "cross-site-scripting") for i in range(5)]
    found = evasion.evade(OfEngine(Engine.load(bundle_path)), some)
    assert found["detected"] == 5
    assert found["known"]["lost"]["share"] < 0.2
    assert json.loads(json.dumps(found)) == found


def test_known_tricks_are_named_in_full() -> None:
    assert {e.slugs[0] for e in KNOWN if e.trick} == set(evasions.TRICKS)
