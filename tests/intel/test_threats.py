from __future__ import annotations

import re

from dragoman.intel import benchmark, builtin
from dragoman.intel.threats import by_cwe

CONTRACT = {
    "cross-site-scripting": {79},
    "sql-injection": {89},
    "path-traversal": {22, 73, 98},
    "command-injection": {77, 78, 88},
    "code-injection": {94, 95, 96, 917, 1336},
    "server-side-request-forgery": {918},
    "open-redirect": {601},
    "xml-external-entity": {611},
    "unsafe-deserialization": {502},
    "file-upload": {434},
    "crlf-injection": {93, 113, 444},
}


def test_benchmark_classes_are_those_of_the_contract() -> None:
    texts = {t.slug: t for t in builtin() if t.kind == "class"}
    assert list(benchmark()) == list(CONTRACT)
    assert [t.slug for t in builtin()][: len(CONTRACT)] == list(CONTRACT)
    for slug, cwes in CONTRACT.items():
        assert {int(c.removeprefix("CWE-")) for c in texts[slug].cwe} == cwes
        assert 8 <= len(texts[slug].looks) <= 14


def test_every_cwe_of_a_class_and_its_children_lead_to_it() -> None:
    classes = by_cwe()
    for slug, cwes in CONTRACT.items():
        assert {classes[f"CWE-{n}"] for n in cwes} == {slug}
    assert (classes["CWE-80"], classes["CWE-36"]) == ("cross-site-scripting", "path-traversal")
    assert set(classes.values()) == set(CONTRACT)
    assert "CWE-125" not in classes


def test_every_text_is_complete() -> None:
    texts = builtin()
    assert len({t.id for t in texts}) == len(texts) >= 60
    for text in texts:
        assert re.fullmatch(r"(class|weakness):[a-z0-9-]+", text.id)
        assert (text.slug is not None) == (text.kind == "class")
        assert text.severity in {"low", "medium", "high", "critical"}
        assert text.cwe
        assert all(re.fullmatch(r"CWE-\d+", c) for c in text.cwe)
        assert 3 <= len(re.findall(r"[.](?:\s|$)", text.body)) <= 6
        assert "\n" not in text.body
        assert 3 <= len(text.looks) <= 14
        assert len(set(text.looks)) == len(text.looks)
        assert all(20 <= len(look) <= 400 for look in text.looks)
