from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.config import Limits
from dragoman.errors import SourceError
from dragoman.intel import read_texts
from dragoman.records import Rejected, Text

BODY = (
    "The search page of Example Shop places the q parameter into a query. Anyone can read tables."
)

NVD2: dict[str, Any] = {
    "resultsPerPage": 2,
    "format": "NVD_CVE",
    "vulnerabilities": [
        {
            "cve": {
                "id": "CVE-2099-10001",
                "vulnStatus": "Analyzed",
                "descriptions": [
                    {"lang": "es", "value": "otra lengua"},
                    {"lang": "en", "value": BODY},
                ],
                "metrics": {"cvssMetricV31": [{"cvssData": {"baseSeverity": "CRITICAL"}}]},
                "weaknesses": [{"description": [{"lang": "en", "value": "CWE-89"}]}],
            }
        },
        {"cve": {"id": "CVE-2099-10002", "vulnStatus": "Rejected", "descriptions": []}},
    ],
}
NVD1: dict[str, Any] = {
    "CVE_data_type": "CVE",
    "CVE_Items": [
        {
            "cve": {
                "CVE_data_meta": {"ID": "CVE-2098-0001"},
                "problemtype": {"problemtype_data": [{"description": [{"value": "CWE-79"}]}]},
                "description": {"description_data": [{"lang": "en", "value": BODY}]},
            },
            "impact": {"baseMetricV2": {"severity": "LOW"}},
        }
    ],
}
CVE5: dict[str, Any] = {
    "dataType": "CVE_RECORD",
    "cveMetadata": {"cveId": "CVE-2097-4321", "state": "PUBLISHED"},
    "containers": {
        "cna": {
            "title": "Command injection in Example Router",
            "descriptions": [{"lang": "en-US", "value": "A ping form\n runs\x07 commands."}],
            "problemTypes": [{"descriptions": [{"cweId": "CWE-78", "description": "CWE-78 OS"}]}],
        },
        "adp": [{"metrics": [{"cvssV3_1": {"baseSeverity": "HIGH"}}]}],
    },
}
REJECTED5 = {
    "cveMetadata": {"cveId": "CVE-2097-5", "state": "REJECTED"},
    "containers": {"cna": {"rejectedReasons": []}},
}
CAPEC: dict[str, Any] = {
    "type": "bundle",
    "id": "bundle--1",
    "objects": [
        {"type": "identity", "id": "identity--1", "name": "Example"},
        {
            "type": "attack-pattern",
            "id": "attack-pattern--1",
            "name": "Climbing out of the folder",
            "description": "<p>Dots and slashes.</p>",
            "x_capec_typical_severity": "Very High",
            "external_references": [
                {"source_name": "capec", "external_id": "CAPEC-126"},
                {"source_name": "cwe", "external_id": "CWE-22"},
            ],
        },
        {
            "type": "attack-pattern",
            "id": "attack-pattern--2",
            "name": "Old",
            "description": "Old.",
            "x_capec_status": "Deprecated",
            "external_references": [{"source_name": "capec", "external_id": "CAPEC-1"}],
        },
    ],
}
CWE_XML = """<?xml version="1.0" encoding="UTF-8"?>
<Weakness_Catalog xmlns="http://cwe.mitre.org/cwe-7" xmlns:xhtml="http://www.w3.org/1999/xhtml">
  <Weaknesses>
    <Weakness ID="22" Name="Path out of bounds" Status="Stable">
      <Description>A name is not kept inside.</Description>
      <Extended_Description><xhtml:p>Dots <xhtml:i>climb</xhtml:i>.</xhtml:p></Extended_Description>
      <Potential_Mitigations><Mitigation><Description>Not this.</Description></Mitigation>
      </Potential_Mitigations>
    </Weakness>
    <Weakness ID="9999" Name="Gone" Status="Deprecated"><Description>Gone.</Description></Weakness>
  </Weaknesses>
  <Categories><Category ID="1" Name="A category"/></Categories>
</Weakness_Catalog>
"""
BILLION = """<?xml version="1.0"?>
<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;&x;&x;">
<!ENTITY z "&y;&y;&y;&y;&y;&y;&y;&y;&y;&y;">]>
<Weakness_Catalog><Weaknesses><Weakness ID="1" Name="&z;"/></Weaknesses></Weakness_Catalog>
"""


def read(path: Path, **options: Any) -> tuple[list[Text], list[str]]:
    texts, reasons = [], []
    for item in read_texts(path, **options):
        if isinstance(item, Rejected):
            assert item.where.path
            reasons.append(item.reason)
        else:
            texts.append(item)
    return texts, reasons


def put(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return path


@pytest.mark.parametrize("indent", [None, 1])
def test_nvd_feeds(tmp_path: Path, indent: int | None) -> None:
    path = put(tmp_path / "nvd.json", json.dumps(NVD2, indent=indent))
    texts, reasons = read(path)
    assert texts == [
        Text(
            "CVE-2099-10001",
            "The search page of Example Shop places the q parameter into a query",
            BODY,
            "cve",
            "cve",
            cwe=("CWE-89",),
            severity="critical",
        )
    ]
    assert reasons == ["CVE-2099-10002 is rejected at its source"]
    texts, reasons = read(put(tmp_path / "nvd1.json", json.dumps(NVD1, indent=indent)))
    assert [(t.id, t.cwe, t.severity) for t in texts] == [("CVE-2098-0001", ("CWE-79",), "low")]
    assert not reasons


def test_a_feed_longer_than_a_line_is_read(tmp_path: Path) -> None:
    """A minified feed is one line; it is a document, not JSON lines."""
    feed = {**NVD2, "vulnerabilities": NVD2["vulnerabilities"] * 50}
    texts, _ = read(put(tmp_path / "nvd.json", feed), limits=Limits(line_bytes=1000))
    assert len(texts) == 50


def test_a_feed_with_its_keys_in_another_order(tmp_path: Path) -> None:
    feed = {"meta": {"a": []}, "objects": CAPEC["objects"]}
    texts, _ = read(put(tmp_path / "capec.json", feed))
    assert [t.id for t in texts] == ["CAPEC-126"]


def test_cve5_one_list_and_directory(tmp_path: Path) -> None:
    want = Text(
        "CVE-2097-4321",
        "Command injection in Example Router",
        "A ping form runs commands.",
        "cve",
        "cve",
        cwe=("CWE-78",),
        severity="high",
    )
    assert read(put(tmp_path / "one.json", json.dumps(CVE5, indent=2))) == ([want], [])
    texts, reasons = read(put(tmp_path / "list.json", [CVE5, REJECTED5]))
    assert texts == [want]
    assert reasons == ["CVE-2097-5 is rejected at its source"]

    folder = tmp_path / "cvelistV5" / "cves" / "2097"
    put(folder / "4xxx" / "CVE-2097-4321.json", CVE5)
    put(folder / "0xxx" / "CVE-2097-5.json", REJECTED5)
    put(tmp_path / "cvelistV5" / "cves" / "delta.json", {"numberOfChanges": 0, "new": []})
    texts, reasons = read(tmp_path / "cvelistV5")
    assert texts == [want]
    assert sorted(reasons) == [
        "CVE-2097-5 is rejected at its source",
        "no vulnerability, weakness or attack pattern recognised",
    ]
    with zipfile.ZipFile(tmp_path / "cves.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cves/2097/4xxx/CVE-2097-4321.json", json.dumps(CVE5))
    assert read(tmp_path / "cves.zip") == ([want], [])


def test_json_lines(tmp_path: Path) -> None:
    lines = [
        {"cve": "CVE-2096-1111", "cwe": ["CWE-434"], "product": ["Shop"], "vuln": ["Upload"]}
        | {"description": "Any file can be uploaded."},
        {"cve": "CVE-2096-1112", "product": ["n/a"], "vuln": ["n/a"], "description": "Some fault."},
        {"cve": "CVE-2096-1113", "description": "** REJECT ** not used"},
        {"cve": "CVE-2096-1114", "description": ""},
        {"cve": "no id", "description": "x"},
        {"cwe": "CWE-5", "name": "A weakness", "description": "One.", "extended": "Two."},
        {
            "capec": ["CAPEC-7"],
            "name": "P",
            "description": "D.",
            "cwe": ["CWE-1"],
            "severity": "Low",
        },
        [1],
    ]
    text = "\n".join(map(json.dumps, lines)) + '\n{"cve": broken\n'
    path = tmp_path / "all.jsonl.gz"
    path.write_bytes(gzip.compress(text.encode()))
    texts, reasons = read(path)
    assert [(t.id, t.title, t.kind) for t in texts] == [
        ("CVE-2096-1111", "Shop: Upload", "cve"),
        ("CVE-2096-1112", "Some fault.", "cve"),
        ("CWE-5", "A weakness", "weakness"),
        ("CAPEC-7", "P", "pattern"),
    ]
    assert texts[2].body == "One. Two."
    assert texts[3].severity == "low"
    assert reasons[:4] == [
        "CVE-2096-1113 is rejected at its source",
        "CVE-2096-1114 has no description",
        "not a CVE id: 'no id'",
        "not a JSON object",
    ]
    assert reasons[4].startswith("not JSON")


def test_capec_stix(tmp_path: Path) -> None:
    texts, reasons = read(put(tmp_path / "capec.json", CAPEC))
    assert [(t.id, t.kind, t.cwe, t.severity) for t in texts] == [
        ("CAPEC-126", "pattern", ("CWE-22",), "critical")
    ]
    assert reasons == ["CAPEC-1 is deprecated"]


def test_cwe_xml(tmp_path: Path) -> None:
    want = Text(
        "CWE-22",
        "Path out of bounds",
        "A name is not kept inside. Dots climb.",
        "cwe",
        "weakness",
        cwe=("CWE-22",),
    )
    assert read(put(tmp_path / "cwec.xml", CWE_XML)) == ([want], ["CWE-9999 is deprecated"])
    with zipfile.ZipFile(tmp_path / "cwec.xml.zip", "w") as archive:
        archive.writestr("cwec.xml", CWE_XML)
    assert read(tmp_path / "cwec.xml.zip")[0] == [want]


def test_xml_that_is_refused(tmp_path: Path) -> None:
    refused = {
        "bomb": (BILLION, "document type or entity"),
        "deep": ('<?xml version="1.0"?>' + "<a>" * 500 + "</a>" * 500, "limits.xml_depth"),
        "broken": (CWE_XML[:300], "broken XML"),
        "other": ('<?xml version="1.0"?><rss/>', "no CWE weakness"),
        "encoding": ('<?xml version="1.0" encoding="klingon"?><a/>', "broken XML"),
        "long": (f'<?xml version="1.0"?><a>{"x" * 300_000}</a>', "limits.record_bytes"),
    }
    for name, (text, reason) in refused.items():
        path = put(tmp_path / f"{name}.xml", text)
        texts, reasons = read(path, limits=Limits(record_bytes=200_000))
        assert texts == [], name
        assert len(reasons) == 1, name
        assert reason in reasons[0], name


def test_documents(tmp_path: Path) -> None:
    long = "A long sentence about a parameter. " * 100
    text = (
        f"Intro here.\n\n# First\n\nShort one.\n\nShort two.\n\n## Second ##\n{long}\n\n# Empty\n"
    )
    texts, reasons = read(put(tmp_path / "notes.md", text))
    assert not reasons
    kept = [t for t in texts if t.kind == "document"]
    assert [t.id for t in kept] == [f"doc:notes#{n}" for n in range(1, len(kept) + 1)]
    assert [t.title for t in kept] == ["notes", "First", *["Second"] * (len(kept) - 2)]
    assert kept[1].body == "Short one. Short two."
    assert all(0 < len(t.body) <= 1200 for t in kept)
    assert " ".join(t.body for t in kept[2:]) == long.strip()
    assert {t.source for t in texts} == {"notes.md"}
    for document in kept:
        parts = [t for t in texts if t.parent == document.id]
        assert [t.id for t in parts] == [f"{document.id}.{n}" for n in range(1, len(parts) + 1)]
        assert " ".join(t.body for t in parts) in ("", document.body)


def test_documents_of_one_name_keep_different_ids(tmp_path: Path) -> None:
    put(tmp_path / "a" / "report.txt", "First report.")
    put(tmp_path / "b" / "report.txt", "Second report.")
    texts, _ = read(tmp_path)
    assert [(t.id, t.body) for t in texts] == [
        ("doc:report#1", "First report."),
        ("doc:report~2#1", "Second report."),
    ]


def test_bad_files_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\x7fELF\0\0\0")
    (tmp_path / "b.txt").write_bytes(b"good line\n\xff\xfe bad\n")
    (tmp_path / "c.txt").write_bytes(b"x" * 5000)
    put(tmp_path / "d.json", "[" * 100 + "]" * 100)
    put(
        tmp_path / "e.json",
        [{"cve": "CVE-2000-0001", "description": json.loads("[" * 70 + "]" * 70)}],
    )
    (tmp_path / "f.json.gz").write_bytes(gzip.compress(json.dumps(CVE5).encode())[:-9])
    texts, reasons = read(tmp_path, limits=Limits(line_bytes=4096))
    assert next(t.body for t in texts if t.kind == "document") == "good line"
    for reason in (
        "binary",
        "not UTF-8",
        "limits.line_bytes",
        "limits.json_depth",
        "truncated gzip",
    ):
        assert any(reason in r for r in reasons), reason


def test_limits_are_named(tmp_path: Path) -> None:
    small = replace(Limits(), document_bytes=100)
    for name, value in (("nvd.json", NVD2), ("class.md", "# T\n" + "x" * 200)):
        path = put(tmp_path / name, value)
        texts, reasons = read(path, limits=small, as_class=name == "class.md")
        assert not texts
        assert any("limits.document_bytes" in r for r in reasons)
    path = put(tmp_path / "long.jsonl", {"cve": "CVE-2000-0001", "description": "x" * 500})
    assert "limits.record_bytes" in read(path, limits=Limits(record_bytes=100))[1][0]


def test_a_missing_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        list(read_texts(tmp_path / "absent.json"))


CLASS = """---
id: badge-cloning
name: Badge cloning
cwe: CWE-290, CWE-287
severity: high
---
# Another title

A badge number is taken
from the request. The door believes it.

## How it looks
- badge=0001 with a foreign reader id
* reader=spoofed,
  continued on the next line
"""


def test_class_file(tmp_path: Path) -> None:
    assert read(put(tmp_path / "my.md", CLASS), as_class=True) == (
        [
            Text(
                id="class:badge-cloning",
                title="Badge cloning",
                body="A badge number is taken from the request. The door believes it.",
                source="my.md",
                kind="class",
                slug="badge-cloning",
                cwe=("CWE-290", "CWE-287"),
                severity="high",
                looks=(
                    "badge=0001 with a foreign reader id",
                    "reader=spoofed, continued on the next line",
                ),
            )
        ],
        [],
    )
    bare = put(tmp_path / "My Class_2.md", "# Odd doors\n\nDoors open.\n")
    [text], _ = read(bare, as_class=True)
    assert (text.id, text.title, text.body) == ("class:my-class-2", "Odd doors", "Doors open.")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no heading at all", "neither a heading nor a name"),
        ("# Only a title\n", "no description"),
        ("---\nid: x\n# T\nbody", "no closing ---"),
        ("---\ncolour: red\n---\n# T\nbody", "unknown key 'colour'; known: id, name"),
        ("---\nid: ../x\n---\n# T\nbody", "lower-case words"),
        ("---\nid: benign\n---\n# T\nbody", "meaning of its own"),
        ("---\nseverity: awful\n---\n# T\nbody", "none of low, medium"),
    ],
)
def test_class_files_that_do_not_fit(tmp_path: Path, text: str, reason: str) -> None:
    texts, reasons = read(put(tmp_path / "c.md", text), as_class=True)
    assert not texts
    assert len(reasons) == 1
    assert reason in reasons[0]


KEYS = re.findall(
    r"\w+",
    "cve id cveMetadata containers cna vulnerabilities objects type descriptions description value "
    "lang capec cwe CVE_data_meta external_references problemTypes metrics adp name status",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)
MARKUP = rb"""<?xml version='1.0'?>~<Weakness ID='1'>~</Weakness>~<!DOCTYPE a [~{~[~]}~"cve":~"""
MARKUP += rb""""CVE-2020-1234"~"\ud800"~---~# T~- x~id: a~ """
BINARY = [b"\n", b"\0", b"\xff", b"\x85", b"\xed\xa0\x80", b"PK\x03\x04", b"\x1f\x8b\x08\0"]
PIECES = MARKUP.split(b"~") + BINARY
FRAGMENTS = st.lists(st.sampled_from(PIECES) | st.binary(max_size=10), max_size=30).map(b"".join)


def _survives(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    for as_class in (False, True):
        for item in read_texts(path, as_class=as_class):
            assert isinstance(item, (Text, Rejected))
            if isinstance(item, Text):
                assert item.body.strip() or item.looks
                f"{item.id}{item.title}{item.body}{item.looks}".encode()  # no lone surrogates


@settings(max_examples=150, deadline=None)
@given(value=JSON)
def test_any_json_is_survived(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    _survives(tmp_path_factory.getbasetemp() / "fuzz.json", json.dumps(value).encode())


@settings(max_examples=300, deadline=None)
@given(data=FRAGMENTS)
def test_any_bytes_are_survived(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    _survives(tmp_path_factory.getbasetemp() / "fuzz", data)


@settings(max_examples=60, deadline=None)
@given(data=FRAGMENTS, cut=st.integers(0, 200))
def test_any_archive_is_survived(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cut: int
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.md", data)
    base = tmp_path_factory.getbasetemp()
    _survives(base / "fuzz.zip", buffer.getvalue()[: -cut or None])
    _survives(base / "fuzz.gz", gzip.compress(data)[: -cut or None])
