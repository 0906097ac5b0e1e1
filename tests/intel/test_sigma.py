from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.config import Limits
from dragoman.intel import read_texts
from dragoman.intel.sigma import to_rule
from dragoman.records import Rejected, Text

pytest.importorskip("sigma")

RULE = """# a comment
title: Weeder Task Created
id: 00000000-0000-4000-8000-000000000001
status: test
description: |
    Detects the creation of
    a task by the weeder.
author: Example
date: 2030-01-02
tags:
    - attack.persistence
    - attack.privilege_escalation
    - attack.t1053.005
    - attack.s0111
    - cve.2030-0001
logsource:
    product: windows
    category: process_creation
detection:
    selection:
        Image|endswith: '\\schtasks.exe'
        CommandLine|contains|all:
            - /create
            - weeder
    keywords:
        - spade
    filter_main:
        User: gardener
    condition: selection or keywords and not filter_main
level: high
"""
SECOND = RULE.replace("Weeder Task", "Second Task").replace("000001", "000002")


def read(path: Path, **options: Any) -> tuple[list[Text], list[str]]:
    items = list(read_texts(path, **options))
    texts = [item for item in items if isinstance(item, Text)]
    return texts, [item.reason for item in items if isinstance(item, Rejected)]


def test_a_rule(tmp_path: Path) -> None:
    path = tmp_path / "rule.yml"
    path.write_text(RULE, "utf-8")
    texts, reasons = read(path)
    assert not reasons
    assert texts == [
        Text(
            id="sigma:00000000-0000-4000-8000-000000000001",
            title="Weeder Task Created",
            body="Detects the creation of a task by the weeder.",
            source="sigma",
            kind="rule",
            severity="high",
            looks=("Image ends with \\schtasks.exe; CommandLine contains /create, weeder; spade",),
            techniques=("T1053.005",),
            tactics=("persistence", "privilege-escalation"),
            platforms=("Windows",),
        )
    ]


def test_several_in_a_file_and_as_json(tmp_path: Path) -> None:
    path = tmp_path / "rules"
    path.write_text(f"---\n{RULE}---\n{SECOND}---\n", "utf-8")
    two, reasons = read(path)
    assert [t.title for t in two] == ["Weeder Task Created", "Second Task Created"]
    assert not reasons
    rule = {
        "title": "Third",
        "description": "Of JSON.",
        "tags": ["attack.t1059"],
        "logsource": {"product": "linux"},
        "detection": {"selection": {"a": [1, None]}, "condition": "selection"},
    }
    path.write_text(json.dumps(rule) + "\n", "utf-8")
    [third], _ = read(path)
    assert (third.id, third.techniques, third.looks) == (
        "sigma:third",
        ("T1059",),
        ("a is 1, None",),
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (RULE.replace("condition:", "condition_:"), "condition"),
        (RULE.replace("level: high", "level: awful"), "level"),
        (RULE.replace("  product: windows", "  - windows"), "Sigma"),
        (RULE + "more: &a [1]\nagain: *a\n", "alias"),
        (RULE + "more: " + "[" * 100 + "]" * 100, "nested too deep"),
        (RULE + "more:\n" + " " * 200 + "x: 1", "nested too deep"),
        (RULE + "more: !!python/object/apply:os.getcwd []\n", "could not determine"),
        (RULE + "more: [\n", "not a Sigma rule"),
        (RULE.replace("Example", "\ud800").encode("utf-8", "surrogatepass").decode("latin-1"), ""),
    ],
)
def test_what_is_no_rule_is_rejected(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "rules.yml"
    path.write_bytes((f"{text}\n---\n{SECOND}").encode("latin-1"))
    texts, reasons = read(path)
    assert [t.title for t in texts] == ["Second Task Created"]
    assert len(reasons) == 1
    assert reason in reasons[0]


def test_without_pysigma_the_reason_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(RULE, "utf-8")
    for name in ("yaml", "sigma.rule"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            texts, [reason] = read(path)
        assert not texts
        assert "pip install 'dragoman[sigma]'" in reason


def test_a_long_rule_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(RULE + "# " + "x" * 3000 + "\n---\n" + SECOND, "utf-8")
    texts, reasons = read(path, limits=Limits(record_bytes=2000))
    assert [t.title for t in texts] == ["Second Task Created"]
    assert "limits.record_bytes" in reasons[0]


def test_front_matter_is_no_rule(tmp_path: Path) -> None:
    path = tmp_path / "post.md"
    path.write_text("---\ntitle: A post\n---\nThe detection: of weeds is hard.\n", "utf-8")
    texts, _ = read(path)
    assert {t.kind for t in texts} <= {"document", "sentence"}


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = ("id", "title", "description", "tags", "logsource", "detection", "level", "status", "fields")
SOUND: dict[str, Any] = {
    "title": "Any",
    "logsource": {"product": "linux"},
    "detection": {"selection": {"a|contains": "b"}, "condition": "selection"},
}


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), VALUE, max_size=6))
def test_any_record_is_a_rule_or_refused(more: dict[str, Any]) -> None:
    with suppress(ValueError):
        text = to_rule({**SOUND, **more})
        assert text.id.startswith("sigma:")
        assert text.title
