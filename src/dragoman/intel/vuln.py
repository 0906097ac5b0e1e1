"""JSON records of vulnerabilities, weaknesses and attack patterns -> Text.

Shapes: NVD API 2.0 and 1.1 items, CVE JSON 5 records, CAPEC attack patterns in STIX 2.x, and flat
objects with ``cve``, ``cwe`` or ``capec`` ids (`docs/formats.md`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..config import Limits
from ..records import Text

CVE = re.compile(r"CVE-\d{4}-\d{4,19}")
CWE = re.compile(r"CWE-\d{1,6}")
CAPEC = re.compile(r"CAPEC-\d{1,6}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
TITLE = 100
LEVELS = {
    "none": "low",
    "very low": "low",
    "low": "low",
    "medium": "medium",
    "moderate": "medium",
    "high": "high",
    "very high": "critical",
    "critical": "critical",
}


def to_text(record: Any, limits: Limits) -> Text:
    """The Text of one JSON record.

    Raises:
        ValueError: no known shape, no id or description, rejected or deprecated at its source.
    """
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    cve = record.get("cve")
    if "cveMetadata" in record:
        text = _cve5(record)
    elif isinstance(cve, dict):
        text = _nvd1(record) if "CVE_data_meta" in cve else _nvd2(cve)
    elif isinstance(cve, str):
        text = _cve_line(record)
    elif isinstance(record.get("capec"), list):
        text = _capec_line(record)
    elif isinstance(record.get("cwe"), str):
        text = _cwe_line(record)
    elif record.get("type") == "attack-pattern":
        text = _capec_stix(record)
    else:
        raise ValueError("no vulnerability, weakness or attack pattern recognised")
    if len(text.body) > limits.record_bytes:
        raise ValueError(f"text longer than limits.record_bytes = {limits.record_bytes}")
    return text


def clean(value: Any) -> str:
    """Text on one line, without control characters; empty if ``value`` is no text."""
    return " ".join(CONTROL.sub(" ", value).split()) if isinstance(value, str) else ""


def weakness(id: str, name: str, body: str, status: str) -> Text:
    """A CWE entry. Raises ValueError if it is deprecated, obsolete or empty."""
    if status.lower() in ("deprecated", "obsolete"):
        raise ValueError(f"{id} is deprecated")
    return Text(_id(CWE, id), _title(name, body), _body(id, body), "cwe", "weakness", cwe=(id,))


def _nvd2(cve: dict[str, Any]) -> Text:
    if clean(cve.get("vulnStatus")).lower() == "rejected":
        raise ValueError(f"{clean(cve.get('id'))} is rejected at its source")
    body = _english(cve.get("descriptions"))
    return _vulnerability(cve.get("id"), "", body, cve.get("weaknesses"), cve.get("metrics"))


def _nvd1(item: dict[str, Any]) -> Text:
    cve = item["cve"]
    body = _english(_at(cve, "description", "description_data"))
    id = _at(cve, "CVE_data_meta", "ID")
    return _vulnerability(id, "", body, cve.get("problemtype"), item.get("impact"))


def _cve5(record: dict[str, Any]) -> Text:
    id, cna = _at(record, "cveMetadata", "cveId"), _at(record, "containers", "cna")
    if clean(_at(record, "cveMetadata", "state")).upper() == "REJECTED":
        raise ValueError(f"{clean(id)} is rejected at its source")
    if not isinstance(cna, dict):
        raise ValueError("a CVE record without containers.cna")
    containers = [cna, *_list(_at(record, "containers", "adp"))]
    about = [_at(container, "problemTypes") for container in containers]
    rated = [_at(container, "metrics") for container in containers]
    body = _english(cna.get("descriptions"))
    return _vulnerability(id, clean(cna.get("title")), body, about, rated)


def _cve_line(row: dict[str, Any]) -> Text:
    product, fault = (clean((_list(row.get(key)) or [""])[0]) for key in ("product", "vuln"))
    named = product and fault and "n/a" not in (product, fault)
    title = f"{product}: {fault}" if named else ""
    return _vulnerability(row["cve"], title, clean(row.get("description")), row.get("cwe"), None)


def _vulnerability(id: Any, title: str, body: str, about: Any, rated: Any) -> Text:
    id = _id(CVE, id)
    if body.startswith(("** REJECT **", "Rejected reason:")):
        raise ValueError(f"{id} is rejected at its source")
    cwe = tuple(dict.fromkeys(c for s in _strings(about) for c in CWE.findall(s)))
    return Text(
        id, _title(title, body), _body(id, body), "cve", "cve", cwe=cwe, severity=_severity(rated)
    )


def _cwe_line(row: dict[str, Any]) -> Text:
    body = f"{clean(row.get('description'))} {clean(row.get('extended'))}".strip()
    return weakness(row["cwe"], clean(row.get("name")), body, clean(row.get("status")))


def _capec_line(row: dict[str, Any]) -> Text:
    id = next((i for i in row["capec"] if isinstance(i, str)), "")
    return _pattern(id, row, clean(row.get("status")), row.get("cwe"))


def _capec_stix(row: dict[str, Any]) -> Text:
    named = [_at(ref, "external_id") for ref in _list(row.get("external_references"))]
    ids = [i for i in named if isinstance(i, str)]
    if row.get("revoked") is True:
        raise ValueError("the attack pattern is revoked")
    id = next((i for i in ids if CAPEC.fullmatch(i)), "")
    return _pattern(id, row, clean(row.get("x_capec_status")), ids)


def _pattern(id: str, row: dict[str, Any], status: str, about: Any) -> Text:
    if status.lower() in ("deprecated", "obsolete"):
        raise ValueError(f"{id} is deprecated")
    body = clean(row.get("description"))
    rated = row.get("x_capec_typical_severity", row.get("severity"))
    return Text(
        _id(CAPEC, id),
        _title(clean(row.get("name")), body),
        _body(id, body),
        "capec",
        "pattern",
        cwe=tuple(dict.fromkeys(s for s in _strings(about) if CWE.fullmatch(s))),
        severity=LEVELS.get(clean(rated).lower(), "medium"),
    )


def _id(known: re.Pattern[str], id: Any) -> str:
    if isinstance(id, str) and known.fullmatch(id):
        return id
    raise ValueError(f"not a {known.pattern.partition('-')[0]} id: {str(id)[:40]!r}")


def _body(id: str, body: str) -> str:
    if not body:
        raise ValueError(f"{id} has no description")
    return body


def _title(title: str, body: str) -> str:
    """The title, or else the first sentence of the body; at most ``TITLE`` characters."""
    text = title or re.split(r"(?<=[a-z)])\. ", body, maxsplit=1)[0]
    return text if len(text) <= TITLE else text[:TITLE].rsplit(" ", 1)[0] + " ..."


def _english(items: Any) -> str:
    texts = [i for i in _list(items) if str(_at(i, "lang")).lower().startswith("en")]
    return clean(_at((texts or [None])[0], "value"))


def _severity(rated: Any) -> str:
    """The first severity named in CVSS metrics (``baseSeverity``, or ``severity`` of CVSS 2)."""
    for key, value in _pairs(rated):
        if key in ("baseSeverity", "severity") and isinstance(value, str):
            return LEVELS.get(value.lower(), "medium")
    return "medium"


def _strings(value: Any) -> Iterator[str]:
    yield from (v for _, v in _pairs(value) if isinstance(v, str))


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Every scalar below ``value`` with the nearest key above it, in order of appearance."""
    stack: list[tuple[str, Any]] = [("", value)]
    while stack:
        key, value = stack.pop()
        if isinstance(value, dict):
            stack += reversed(value.items())
        elif isinstance(value, list):
            stack += [(key, item) for item in reversed(value)]
        else:
            yield key, value


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
