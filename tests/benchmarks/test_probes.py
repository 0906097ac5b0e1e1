"""Cutting attacks out of rows, swapping what stands around them, taking them out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="the peers need the extra [train]")
import attacks
import baselines
import judges
import probes
from attacks import Attack, cut, encoded, made, plain
from hypothesis import given
from hypothesis import strategies as st
from judges import OfEngine, payload, rate, rate_by_group

from dragoman import Engine
from dragoman.records import Payload

AROUND = [
    b"GET / HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
    b"Accept: */*\r\n\r\n"
]
HEAD = "Host: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11)\r\nReferer: http://example.net/a\r\n"
SCRIPT = "<script>alert(1)</script>"


def row(text: str, label: str, kind: str = "http") -> dict[str, Any]:
    return {"id": text[:60], "payload": text, "kind": kind, "label": label}


def get(target: str, label: str) -> dict[str, Any]:
    return row(f"GET {target} HTTP/1.1\r\n{HEAD}\r\n", label)


def post(kind: str, body: str, label: str) -> dict[str, Any]:
    length = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return row(f"POST /a HTTP/1.1\r\n{HEAD}{length}\r\n{body}", label)


@pytest.fixture(scope="module")
def engine(bundle_path: Path) -> OfEngine:
    return OfEngine(Engine.load(bundle_path))


class Length:
    """A judge that lives on the context: a long request is an attack, named by its method."""

    name, threshold = "length", 300.0

    def classify(self, payloads: Sequence[Payload]) -> list[str]:
        return ["sql-injection" if p.data[:3] == b"GET" else "file-upload" for p in payloads]

    def detect(self, payloads: Sequence[Payload]) -> list[float]:
        return [float(len(p.data)) for p in payloads]


# --- cutting


@pytest.mark.parametrize(
    ("one", "place", "name", "value"),
    [
        (get("/a?x=1&q=%3Cscript%3Ealert(1)%3C/script%3E", "cross-site-scripting"),
         "query", "q", SCRIPT),
        (get("/a/..%2f..%2fetc/passwd?x=1", "path-traversal"), "path", "", "/a/../../etc/passwd"),
        (post("application/x-www-form-urlencoded", "a=b&id=1%27+or+1%3D1--+-", "sql-injection"),
         "form", "id", "1' or 1=1-- -"),
        (post("application/json", '{"n": "1\\" or \\"1\\"=\\"1", "m": 2}', "sql-injection"),
         "json", "n", '1" or "1"="1'),
        (row(f"GET / HTTP/1.1\r\n{HEAD}X-Id: ${{jndi:ldap://example.net/a}}\r\n\r\n",
             "code-injection"), "header", "x-id", "${jndi:ldap://example.net/a}"),
        (row("a;cat /etc/passwd", "command-injection", "value"), "value", "", "a;cat /etc/passwd"),
    ],
)  # fmt: skip
def test_the_attack_is_cut_out(one: dict[str, Any], place: str, name: str, value: str) -> None:
    found = cut(one)
    assert found is not None
    assert (found.place, found.name, found.value.decode()) == (place, name, value)
    again = cut(one | {"payload": found.with_value(found.value).decode()})
    assert again is not None
    assert again.value == found.value


@pytest.mark.parametrize(
    "one",
    [
        get(f"/a?q={SCRIPT}&r={SCRIPT}", "cross-site-scripting"),  # two attack
        get("/a?q=hello", "cross-site-scripting"),  # none does
        get(f"/a?q={SCRIPT}", "attack"),
        get("/a?q=b", "benign"),
    ],
)
def test_rows_without_one_attack_are_passed_over(one: dict[str, Any]) -> None:
    assert cut(one) is None


def test_another_value_sets_the_length() -> None:
    found = cut(post("application/x-www-form-urlencoded", "id=1%27+or+1%3D1--", "sql-injection"))
    assert found is not None
    changed = found.with_value(b"1")
    assert changed.endswith(b"\r\n\r\nid=1")
    assert b"Content-Length: 4\r\n" in changed


@given(st.binary(max_size=80), st.sampled_from(["query", "form", "path", "cookie"]))
def test_encoding_for_a_place_is_undone_there(value: bytes, place: str) -> None:
    assert plain(encoded(value, place), place) == value


@given(st.text(max_size=60), st.sampled_from(["json", "xml"]))
def test_encoding_in_documents_is_undone_there(text: str, place: str) -> None:
    value = text.encode("utf-8", "replace")
    if place == "json" or not any(c in text for c in "\r"):
        assert plain(encoded(value, place), place) == value


@given(st.binary(max_size=400))
def test_any_bytes_can_be_cut(data: bytes) -> None:
    for slug in ("sql-injection", "path-traversal", "file-upload"):
        found = cut({"id": "x", "payload": data.decode("latin-1"), "kind": "http", "label": slug})
        assert found is None or isinstance(found.with_value(b"1"), bytes)


def test_generated_attacks_of_chosen_templates() -> None:
    some = list(made(7, 4, {"sql-injection/union-select", "open-redirect/full"}))
    assert {a.id.split("/")[2] for a in some} == {"union-select", "full"}
    assert not any(a.bare for a in some if a.slug == "sql-injection")


# --- context swap


def attack(value: str, slug: str) -> Attack:
    found = cut(row(value, slug, "value"))
    assert found is not None
    return found


def test_contexts_change_one_thing_each() -> None:
    one = attack("1' or 1=1--", "sql-injection")
    some = {c.kind: c.request for c in probes.contexts(one, AROUND)}
    first = some.pop("first")
    assert len({*some.values(), first}) == len(some) + 1
    target, _, rest = first.partition(b"\r\n")
    assert some["host"].startswith(target + b"\r\n")
    assert some["path"].endswith(rest)
    assert some["method"].partition(b" ")[2] == first.partition(b" ")[2]
    assert some["headers"].startswith(target + b"\r\n")
    assert b"www.example.org" in some["headers"]
    assert some["parameter"].partition(b"\r\n")[2] == rest
    assert {k for k in some if k.startswith("place: ")} == {
        f"place: {p}" for p in ("form", "json", "cookie", "header", "path", "xml", "multipart")
    }
    assert next(probes.contexts(one, AROUND)).request == first


@pytest.mark.parametrize("value", ["//example.net/", "h%09ttps://example.net:8/a?b#c", "/\\a.test"])
def test_nothing_but_a_url(value: str) -> None:
    assert attack(value, "open-redirect").bare
    assert not attack(f"{value}<svg>", "open-redirect").bare
    assert not attack(f"{value}/../a", "open-redirect").bare


def test_a_bare_url_keeps_its_parameter() -> None:
    bare = attack("http://198.51.100.7/x", "open-redirect")
    assert bare.bare
    kinds = {c.kind for c in probes.contexts(bare, AROUND)}
    assert "parameter" not in kinds
    assert "place: cookie" not in kinds


def test_a_judge_of_contexts_flips() -> None:
    some = [attack(f"1' or {i}={i}--", "sql-injection") for i in range(12)]
    found = probes.context_swap(Length(), some, AROUND)
    kinds = found["all"]["kinds"]
    assert kinds["method"]["forced"]["share"] > 0.7
    assert kinds["path"]["forced"]["share"] == 0.0
    assert kinds["headers"]["detection"]["share"] > 0.1
    lo, hi = found["all"]["detection"]["ci"]
    assert lo <= found["all"]["detection"]["share"] <= hi
    assert found["bare_url"]["attacks"] == 0
    before, after = found["examples"]["headers"][0]["found"]
    assert before is not after


def test_the_engine_keeps_its_verdict(engine: OfEngine) -> None:
    some = [
        *(attack(f"-1 union select {i},user,3 from accounts--", "sql-injection") for i in range(4)),
        *(attack(f'"><script>alert({i})</script>', "cross-site-scripting") for i in range(4)),
    ]
    found = probes.context_swap(engine, some, AROUND)["values"]
    assert found["attacks"] == 8
    assert found["kinds"]["host"]["detection"]["share"] == 0
    assert found["class"]["share"] < 0.2


# --- parts removed


def test_what_is_left_without_the_attack() -> None:
    found = cut(get("/shop/a.php?x=1&q=%3Cscript%3Ealert(1)%3C/script%3E", "cross-site-scripting"))
    assert found is not None
    rest = dict(probes.left(found))
    assert all(b"script" not in request for request in rest.values())
    assert rest["path"] == b"GET /shop/a.php HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
    assert b"Referer" in rest["headers"]
    assert b"x=1&q=1 " in rest["all but the value"]


def test_an_attack_in_the_path_leaves_no_path() -> None:
    found = cut(get("/..%2f..%2fetc/passwd", "path-traversal"))
    assert found is not None
    assert [kind for kind, _ in probes.left(found)] == ["headers"]


def test_the_engine_keeps_quiet_about_the_rest(engine: OfEngine) -> None:
    rows = [get(f"/a?q=%3Cscript%3Ealert({i})%3C/script%3E", "cross-site-scripting")
            for i in range(5)]  # fmt: skip
    found = attacks.cuts(rows)
    assert min(engine.detect([payload(a.record, "http") for a in found])) > engine.threshold
    removed = probes.parts_removed(engine, found)
    assert {kind: part["share"] for kind, part in removed.items()} == {
        "headers": 0.0, "path": 0.0, "all but the value": 0.0,
    }  # fmt: skip


# --- judges


def test_peers_answer_like_engines(engine: OfEngine) -> None:
    rows = [
        row(text.format(i), label, "value")
        for label, text in (
            ("sql-injection", "1 union select {},2 from t--"), ("benign", "page {} of the book"),
            ("cross-site-scripting", "<script>alert({})</script>"),
        )
        for i in range(20)
    ]  # fmt: skip
    grid = baselines.GRIDS["logistic"][:1]
    peers = judges.of_peers(rows, rows, seed=1, model="logistic", fpr=0.0, grid=grid)
    payloads = [judges.payload_of(r) for r in rows]
    for judge in (peers, engine):
        named, scores = judge.classify(payloads), judge.detect(payloads)
        assert [n for n, r in zip(named, rows, strict=True) if r["label"] != "benign"] == [
            r["label"] for r in rows if r["label"] != "benign"
        ]
        assert all(
            (s >= judge.threshold) == (r["label"] != "benign")
            for s, r in zip(scores, rows, strict=True)
        )
        assert judge.classify([]) == judge.detect([]) == []


def test_a_record_that_says_nothing_has_no_class(engine: OfEngine) -> None:
    assert engine.classify([payload(b"plain", "value")]) == [judges.NOTHING]


def test_rates() -> None:
    assert rate(0, 0) == {"n": 0, "share": None, "ci": None}
    assert rate(1, 4)["share"] == 0.25
    assert rate_by_group([True, False], "ab") == rate(1, 2)
    wide = rate_by_group([False] * 40, ["a"] * 20 + ["b"] * 20)
    assert wide["n"] == 40
    assert wide["ci"] == rate(0, 2)["ci"]
    assert rate_by_group([True] * 40, ["a"] * 20 + ["b"] * 20)["ci"] == rate(2, 2)["ci"]
    lo, hi = rate_by_group([True, True, False, False, True, False], "aabbcc")["ci"]
    assert 0 <= lo < 0.5 < hi <= 1
