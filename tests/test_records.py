"""Records are frozen, and their JSON forms are the documented ones."""

import dataclasses
import json

import pytest

from dragoman import records as r

FINDING = r.Finding(
    family="payload",
    record="a1",
    where=r.Where("access.log", line=3),
    verdict="sql-injection",
    name="SQL injection",
    score=0.912345,
    threshold=0.5,
    severity="high",
    evidence=(r.Evidence("query:id", "' or 1=1", span=(4, 12), chain=("percent",)),),
    nearest=(r.Hit("CVE-2020-0001", "A flaw", "cve", 0.812345),),
    runner_ups=(r.Hit("code-injection", "Code injection", "builtin", 0.4),),
    bundle="base",
    intel_version="v1",
)


def test_a_finding_has_the_documented_keys_in_order():
    assert list(FINDING.to_dict()) == [
        "family", "record", "where", "verdict", "name", "score", "threshold", "severity",
        "evidence", "nearest", "runner_ups", "bundle", "intel_version",
    ]  # fmt: skip


def test_what_is_known_is_added():
    more = dataclasses.replace(
        FINDING, time="2026-01-02T03:04:05Z", host="www.example.com", tactics=("TA0001",)
    ).to_dict()
    assert more["time"] == "2026-01-02T03:04:05Z"
    assert more["host"] == "www.example.com"
    assert more["tactics"] == ["TA0001"]


def test_a_finding_survives_json_with_rounded_scores():
    out = json.loads(json.dumps(FINDING.to_dict()))
    assert out["where"] == {"path": "access.log", "line": 3}
    assert out["score"] == 0.9123
    assert out["evidence"] == [
        {"field": "query:id", "text": "' or 1=1", "span": [4, 12], "decoded": ["percent"]}
    ]
    assert out["nearest"][0] == {
        "id": "CVE-2020-0001", "title": "A flaw", "source": "cve", "score": 0.8123,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("where", "text", "data"),
    [
        (r.Where("a"), "a", {"path": "a"}),
        (r.Where("a", line=2), "a:2", {"path": "a", "line": 2}),
        (r.Where("a", byte=0), "a@0", {"path": "a", "byte": 0}),
        (r.Where("a", event_ids=("x",)), "a", {"path": "a", "event_ids": ["x"]}),
    ],
)
def test_a_place_reads_well(where, text, data):
    assert str(where) == text
    assert where.to_dict() == data


def test_a_rejected_record_keeps_its_bytes_readable():
    out = r.Rejected(r.Where("a", line=1), "not JSON", b"\xff{").to_dict()
    assert out == {"where": {"path": "a", "line": 1}, "reason": "not JSON", "raw": "\\xff{"}


def test_an_explanation_shows_every_field_and_class():
    view = r.View("' or 1=1", ("percent",), 4, 12)
    reading = r.Reading("query:id", (4, 12), "%27+or+1%3D1", (view,), 0.987654)
    out = r.Explanation(
        FINDING, 0.9, 0.5, (reading,), FINDING.runner_ups, FINDING.nearest
    ).to_dict()
    assert out["finding"] == FINDING.to_dict()
    assert out["fields"] == [
        {
            "field": "query:id",
            "span": [4, 12],
            "value": "%27+or+1%3D1",
            "score": 0.9877,
            "views": [{"text": "' or 1=1", "decoded": ["percent"]}],
        }
    ]
    assert [hit["id"] for hit in out["classes"]] == ["code-injection"]
    assert r.Explanation(None, 0.1, 0.5, (), (), ()).to_dict()["finding"] is None


def test_counts_read_as_the_run_prints_them():
    assert r.Counts(parsed=9, found=2, rejected=1, not_covered=3).to_dict() == {
        "found": 2, "parsed": 9, "rejected": 1, "not_covered": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    "record", [FINDING, FINDING.where, FINDING.evidence[0], FINDING.nearest[0]]
)
def test_records_are_frozen(record):
    with pytest.raises(AttributeError):
        setattr(record, next(iter(type(record).__annotations__)), "other")
