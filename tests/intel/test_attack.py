from __future__ import annotations

import gzip
import json
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.config import Limits
from dragoman.intel import read_texts
from dragoman.intel.attack import Attack, is_attack, matrices, plain
from dragoman.records import Rejected, Text, Where

SOURCES = {"enterprise": "mitre-attack", "mobile": "mitre-mobile-attack", "ics": "mitre-ics-attack"}


def item(type_: str, key: str, name: str, **more: Any) -> dict[str, Any]:
    """A STIX object with an ATT&CK id."""
    source = SOURCES[more.pop("domain", "enterprise")]
    return {
        "type": type_,
        "id": f"{type_}--{key.replace('.', '-')}",
        "name": name,
        "modified": "2030-01-02T03:04:05.000Z",
        "external_references": [
            {"source_name": "some-paper", "external_id": "T0000"},
            {"source_name": source, "external_id": key},
        ],
        **more,
    }


def technique(key: str, name: str, *tactics: str, **more: Any) -> dict[str, Any]:
    phases = [{"kill_chain_name": "mitre-attack", "phase_name": slug} for slug in tactics]
    return item("attack-pattern", key, name, kill_chain_phases=phases, **more)


def link(kind: str, source: str, target: str, body: str = "", **more: Any) -> dict[str, Any]:
    out = {"type": "relationship", "id": f"relationship--{kind}-{source}-{target}"}
    ends = {"relationship_type": kind, "source_ref": source, "target_ref": target}
    return {**out, **ends, "description": body, **more}


BODY = (
    "[Planting Bulbs](https://example.org/techniques/T9001) means <code>dig.exe</code> &amp; water."
    "(Citation: Gardener (Spring) 2029) It [grows](https://example.org/a)."
)
OBJECTS: list[dict[str, Any]] = [
    {"type": "identity", "id": "identity--1", "name": "Example"},
    {
        "type": "x-mitre-collection",
        "id": "x-mitre-collection--1",
        "name": "Enterprise ATT&CK",
        "x_mitre_version": "99.1",
    },
    item(
        "x-mitre-matrix",
        "enterprise-attack",
        "Enterprise",
        tactic_refs=["x-mitre-tactic--TA02", "x-mitre-tactic--TA01"],
    ),
    item("x-mitre-tactic", "TA01", "Harvest", x_mitre_shortname="harvest", description="Reaping."),
    item("x-mitre-tactic", "TA02", "Sowing Time", x_mitre_shortname="sowing-time"),
    item("x-mitre-tactic", "TA03", "Winter", x_mitre_shortname="winter"),
    technique(
        "T9001",
        "Planting",
        "harvest",
        "sowing-time",
        description=BODY,
        x_mitre_platforms=["Linux", "Windows"],
        x_mitre_detection="Look for soil.",
    ),
    technique("T9001.001", "Bulbs", "sowing-time", description="Bulbs go deep."),
    technique("T9000", "Old Planting", "harvest", revoked=True),
    technique("T8999", "Oldest Planting", "harvest", revoked=True),
    technique("T8000", "Gone", "harvest", x_mitre_deprecated=True),
    item("intrusion-set", "G1", "Gardeners", aliases=["Gardeners", "Green Thumbs"]),
    item("intrusion-set", "G0", "Old Gardeners", revoked=True),
    item("malware", "S1", "Spade", x_mitre_aliases=["Spade", "Shovel"]),
    item("tool", "S2", "Rake"),
    item("campaign", "C1", "Spring"),
    item("course-of-action", "M1", "Fence"),
    item("course-of-action", "M2", "Wall"),
    {
        "type": "x-mitre-analytic",
        "id": "x-mitre-analytic--1",
        "name": "Analytic 1",
        "description": "A process that digs.",
    },
    {
        "type": "x-mitre-detection-strategy",
        "id": "x-mitre-detection-strategy--1",
        "name": "Digging",
        "x_mitre_analytic_refs": ["x-mitre-analytic--1", "x-mitre-analytic--none"],
    },
    {
        "type": "x-mitre-data-component",
        "id": "x-mitre-data-component--1",
        "name": "Process Creation",
    },
    link("subtechnique-of", "attack-pattern--T9001-001", "attack-pattern--T9001"),
    link("revoked-by", "attack-pattern--T9000", "attack-pattern--T9001-001"),
    link("revoked-by", "attack-pattern--T8999", "attack-pattern--T9000"),
    link("revoked-by", "intrusion-set--G0", "intrusion-set--G1"),
    link("detects", "x-mitre-detection-strategy--1", "attack-pattern--T9001"),
    link("detects", "x-mitre-data-component--1", "attack-pattern--T9001", "Watch dig.exe."),
    link("uses", "intrusion-set--G1", "attack-pattern--T9001", "Gardeners dig at night."),
    link("uses", "intrusion-set--G0", "attack-pattern--T9000", "Old Gardeners planted bulbs."),
    link("uses", "intrusion-set--G1", "malware--S1", "They own a Spade."),
    link("uses", "malware--S1", "attack-pattern--T9001", "Spade digs."),
    link("uses", "tool--S2", "attack-pattern--T8000", "Rake did this."),
    link("uses", "tool--S2", "attack-pattern--T9001"),
    link("uses", "tool--S2", "attack-pattern--none", "Rake."),
    link("uses", "campaign--C1", "attack-pattern--T9001-001", "In spring.", revoked=True),
]


def bundle(objects: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"type": "bundle", "id": "bundle--1", **more, "objects": objects}


def read(path: Path, **options: Any) -> tuple[dict[str, Text], list[str]]:
    items = list(read_texts(path, **options))
    texts = {item.id: item for item in items if isinstance(item, Text)}
    return texts, [item.reason for item in items if isinstance(item, Rejected)]


@pytest.fixture
def found(tmp_path: Path) -> tuple[dict[str, Text], list[str]]:
    path = tmp_path / "attack.json.gz"
    path.write_bytes(gzip.compress(json.dumps(bundle(OBJECTS)).encode()))
    return read(path)


def test_techniques(found: tuple[dict[str, Text], list[str]]) -> None:
    texts, _ = found
    one = texts["T9001"]
    assert one.kind == "technique"
    assert one.body == "Planting Bulbs means dig.exe & water. It grows."
    assert one.tactics == ("sowing-time", "harvest"), "in the order of the matrix"
    assert one.techniques == ("T9001",)
    assert one.platforms == ("Linux", "Windows")
    assert one.source == "enterprise-attack 99.1"
    assert one.looks == (
        "A process that digs.",
        "Process Creation: Watch dig.exe.",
        "Look for soil.",
    )
    sub = texts["T9001.001"]
    assert (sub.title, sub.parent) == ("Planting: Bulbs", "T9001")
    assert sub.aliases == ("T9000", "T8999"), "what was revoked, by way of others too"


def test_procedures_and_who(found: tuple[dict[str, Text], list[str]]) -> None:
    texts, _ = found
    procedures = {t.id: t for t in texts.values() if t.kind == "procedure"}
    assert sorted(procedures) == ["T9001.001/G1", "T9001/G1", "T9001/S1"]
    one = procedures["T9001/G1"]
    assert (one.title, one.body) == ("Planting (Gardeners)", "Gardeners dig at night.")
    assert (one.who, one.techniques) == ("Gardeners", ("T9001",))
    assert texts["G1"].aliases == ("Green Thumbs", "Old Gardeners")
    assert {texts[i].kind for i in ("S1", "S2")} == {"software"}
    assert texts["C1"].kind == "campaign"


def test_nothing_is_lost(found: tuple[dict[str, Text], list[str]]) -> None:
    _, reasons = found
    assert sorted(reasons) == [
        "2 objects of type course-of-action hold nothing about how attacks look",
        "S2 uses T9001, but nothing says how",
        "T8000 is deprecated and has no successor",
        "a relationship to an object that is not in the input",
        "an example of T8000, which is deprecated",
    ]


def test_matrix(found: tuple[dict[str, Text], list[str]]) -> None:
    [matrix] = matrices(found[0].values()).values()
    assert (matrix.domain, matrix.version) == ("enterprise-attack", "99.1")
    assert matrix.tactics == ("sowing-time", "harvest", "winter")
    assert matrix.techniques == {
        "T9001": ("sowing-time", "harvest"),
        "T9001.001": ("sowing-time",),
    }
    assert matrix.parents == {"T9001.001": "T9001"}
    assert matrix.successors == {"T9000": "T9001.001", "T8999": "T9001.001"}
    assert matrix.names["T9001.001"] == "Planting: Bulbs"
    assert matrix.names["sowing-time"] == "Sowing Time"


@pytest.mark.parametrize("layout", ["directory", "zip", "lines", "keys"])
def test_every_layout_reads_the_same(
    found: tuple[dict[str, Text], list[str]], tmp_path: Path, layout: str
) -> None:
    """A folder of single objects, as the source keeps them, is one knowledge base too."""
    path = tmp_path / layout
    if layout == "directory":
        for number, one in enumerate(OBJECTS):
            file = path / one["type"] / f"{number}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(bundle([one], spec_version="2.0"), indent=4), "utf-8")
    elif layout == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.json", json.dumps(bundle(OBJECTS[:20])))
            archive.writestr("b.json", json.dumps(bundle(OBJECTS[20:])))
    elif layout == "lines":
        path.write_text("\n".join(map(json.dumps, OBJECTS)), "utf-8")
    else:
        path.write_text(json.dumps({"objects": OBJECTS, "type": "bundle"}), "utf-8")
    texts, reasons = read(path)
    assert texts == found[0]
    assert sorted(reasons) == sorted(found[1])


def test_other_domains_and_a_bundle_without_a_release(tmp_path: Path) -> None:
    old = technique("T1400", "Old text", "harvest", domain="mobile", modified="2029-01-01T")
    new = {**old, "name": "New text", "modified": "2031-05-06T07:08:09Z"}
    other = technique("T0800", "Valves", "winter", x_mitre_domains=["ics-attack"])
    path = tmp_path / "two.json"
    path.write_text(json.dumps(bundle([new, old, other])), "utf-8")
    texts, reasons = read(path)
    assert not reasons
    assert texts["T1400"].title == "New text", "the later of two versions"
    assert texts["T1400"].source == "mobile-attack 2031-05-06"
    assert texts["T0800"].source == "ics-attack 2030-01-02"
    assert sorted(matrices(texts.values())) == ["ics-attack", "mobile-attack"]


def test_capec_is_still_capec(tmp_path: Path) -> None:
    pattern = {
        "type": "attack-pattern",
        "id": "attack-pattern--7",
        "name": "Climbing",
        "description": "Up.",
        "external_references": [
            {"source_name": "capec", "external_id": "CAPEC-126"},
            {"source_name": "ATTACK", "external_id": "T1083"},
        ],
    }
    path = tmp_path / "capec.json"
    path.write_text(json.dumps(bundle([pattern, OBJECTS[0]])), "utf-8")
    texts, reasons = read(path)
    assert list(texts) == ["CAPEC-126"]
    assert not reasons


def test_bad_objects_are_rejected(tmp_path: Path) -> None:
    bad = [
        technique("T9001", ""),
        {**technique("T9001", "No reference"), "external_references": [{"source_name": 1}]},
        item("malware", "no id", "Spade"),
        item("x-mitre-tactic", "TA01", "???", x_mitre_shortname=["x"]),
        {"type": "relationship", "id": "relationship--1", "source_ref": 3},
        technique("T9001", "Long", description="x" * 5000),
        link("uses", "malware--1", "tool--1", "x" * 5000),
    ]
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(bundle(bad)), "utf-8")
    texts, reasons = read(path, limits=Limits(record_bytes=4000))
    assert not texts
    assert len(reasons) == len(bad)


def test_revocations_in_a_circle_end(tmp_path: Path) -> None:
    ring = [technique(f"T900{i}", f"Ring {i}", "harvest", revoked=True) for i in range(3)]
    ends = [link("revoked-by", ring[i]["id"], ring[(i + 1) % 3]["id"]) for i in range(3)]
    path = tmp_path / "ring.json"
    path.write_text(json.dumps(bundle([*ring, *ends])), "utf-8")
    texts, reasons = read(path)
    assert not texts
    assert reasons == [f"T900{i} is revoked and has no successor" for i in range(3)]


def test_a_large_bundle_takes_linear_time() -> None:
    def seconds(count: int) -> float:
        attack = Attack(Limits())
        for i in range(count):
            attack.add(technique(f"T{i}", f"N{i}", "harvest", revoked=i > 0), Where("x"))
            ends = f"attack-pattern--T{i + 1}", f"attack-pattern--T{i}"
            attack.add(link("revoked-by", *ends), Where("x"))
            attack.add(link("uses", ends[1], ends[1], "b"), Where("x"))
        start = time.process_time()
        assert sum(1 for _ in attack.texts()) >= count
        return time.process_time() - start

    seconds(100)
    assert seconds(4000) < 40 * max(seconds(500), 0.005)


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
TYPES = ("attack-pattern", "x-mitre-tactic", "malware", "relationship", "x-mitre-matrix", "junk")
TYPES += ("x-mitre-collection", "x-mitre-analytic", "x-mitre-detection-strategy", "campaign")
KEYS = {key for one in OBJECTS for key in one} - {"type", "id"}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(TYPES),
            st.integers(0, 3),
            st.dictionaries(st.sampled_from(sorted(KEYS)), VALUE, max_size=8),
            st.booleans(),
        ),
        max_size=6,
    )
)
def test_any_object_becomes_a_text_or_is_rejected(drawn: list[Any]) -> None:
    attack = Attack(Limits())
    for type_, number, more, sound in drawn:
        record = {**more, "type": type_, "id": f"{type_}--{number}"}
        if sound:
            record = {**item(type_, f"T900{number}", "Name"), **more, "type": type_}
        if is_attack(record):
            with suppress(ValueError):
                attack.add(record, Where("x"))
    for text in attack.texts():
        assert isinstance(text, Text | Rejected)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="[]()<>/code&;:. Citaton\n", max_size=200))
def test_plain_text_of_anything(text: str) -> None:
    assert "\n" not in plain(text)
