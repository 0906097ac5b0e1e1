"""Findings as rows: a table for people, CSV for spreadsheets, JSON lines for programs.

``tee_csv`` and ``tee_jsonl`` write each finding and pass it on, so that one scan feeds several
outputs in constant memory::

    stream = tee_jsonl(scan, file)
    table(stream, scan.counts, console)
"""

from __future__ import annotations

import csv
import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any

from ..records import Counts, Evidence, Finding
from .visible import shorten, visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

COLUMNS = (
    "path", "line", "byte", "time", "host", "verdict", "name", "severity", "score", "threshold",
    "field", "span_start", "span_end", "decoded", "evidence", "nearest_id", "nearest_title",
    "nearest_score", "runner_up", "record", "bundle", "intel_version",
)  # fmt: skip

PLACE = 32  # characters of a place in the table; its end is what tells
EVIDENCE = 160  # characters of evidence in the table
CELL = 32_000  # characters; spreadsheets refuse cells above 32,767
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_STYLE = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "green"}
_NOTHING = Evidence(field="", text="")


def tee_jsonl(findings: Iterable[Finding], file: IO[str]) -> Iterator[Finding]:
    """Write each finding as one JSON line (the documented findings format, ASCII); pass it on."""
    for finding in findings:
        file.write(json.dumps(finding.to_dict()) + "\n")
        yield finding


def tee_csv(findings: Iterable[Finding], file: IO[str]) -> Iterator[Finding]:
    """Write each finding as a CSV row (RFC 4180) under a header of ``COLUMNS`` and pass it on.

    Open ``file`` with ``newline=""``. Text is shown by :func:`visible`; a cell that a spreadsheet
    could take for a formula is prefixed with ``'`` (CWE-1236). The JSON lines hold the exact text.
    """
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for finding in findings:
        writer.writerow([_cell(value) for value in _row(finding)])
        yield finding


def write_jsonl(findings: Iterable[Finding], file: IO[str]) -> None:
    """Write all findings as JSON lines; see :func:`tee_jsonl`."""
    deque(tee_jsonl(findings, file), maxlen=0)


def write_csv(findings: Iterable[Finding], file: IO[str]) -> None:
    """Write all findings as CSV; see :func:`tee_csv`."""
    deque(tee_csv(findings, file), maxlen=0)


def table(
    findings: Iterable[Finding], counts: Counts, console: Console, *, limit: int = 50
) -> None:
    """Exhaust ``findings``, then print the counts, the threat classes and the first ``limit`` rows.

    ``counts`` is read only after the last finding, when a scan's counts are final.
    """
    classes: Counter[str] = Counter()
    names: dict[str, str] = {}
    shown: list[Finding] = []
    for finding in findings:
        classes[finding.verdict] += 1
        names.setdefault(finding.verdict, finding.name)
        if len(shown) < limit:
            shown.append(finding)
    put = _Printer(console)
    put(_counts(counts))
    for line in _rejects(counts):
        put(line, style="dim")
    if not classes:
        return
    console.print()
    console.print(_class_table(classes, names, put))
    if shown:
        shown.sort(key=lambda f: (-classes[f.verdict], f.verdict))
        console.print()
        console.print(_finding_table(shown, put))
    more = classes.total() - len(shown)
    if more:
        put(f"… and {more:,} more, not shown here: --json, --csv and --html have them all.")


class _Printer:
    """Text for one console: never read as markup, never outside the console's encoding."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __call__(self, text: str, style: str = "") -> None:
        self.console.print(self.text(text, style))

    def text(self, text: str, style: str = "") -> Text:
        from rich.text import Text

        encoding = self.console.encoding
        return Text(text.encode(encoding, "backslashreplace").decode(encoding), style)


def _counts(counts: Counts) -> str:
    return (
        f"{counts.found:,} found · {counts.parsed:,} parsed · "
        f"{counts.rejected:,} rejected · {counts.not_covered:,} not covered"
    )


def _rejects(counts: Counts, most: int = 5) -> Iterator[str]:
    for reject in counts.rejects[:most]:
        yield f"  rejected {visible(str(reject.where))}: {visible(reject.reason, 200)}"
    more = counts.rejected - min(most, len(counts.rejects))
    if more > 0:
        yield f"  … and {more:,} more rejected"


def _class_table(classes: Counter[str], names: dict[str, str], put: _Printer) -> RenderableType:
    from rich import box
    from rich.table import Table

    out = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    out.add_column("Threat class")
    out.add_column("Findings", justify="right")
    for verdict, n in sorted(classes.items(), key=lambda item: (-item[1], item[0])):
        out.add_row(put.text(visible(names[verdict], 60)), put.text(f"{n:,}"))
    return out


def _finding_table(shown: list[Finding], put: _Printer) -> RenderableType:
    from rich import box
    from rich.table import Table

    out = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    out.add_column("Verdict,\nplace", overflow="fold")
    out.add_column("Score\n/threshold", justify="right", overflow="fold")
    out.add_column("Field,\ndecoded evidence", overflow="fold")
    out.add_column("Nearest", overflow="fold")
    root = _common_folder([f.where.path for f in shown])
    for before, finding in zip([None, *shown], shown, strict=False):
        if before and before.verdict != finding.verdict:
            out.add_section()
        first = _first(finding)
        verdict = put.text(visible(finding.verdict, 60), _STYLE.get(finding.severity, ""))
        place = visible(str(finding.where).removeprefix(root))
        place = place if len(place) <= PLACE else "…" + place[1 - PLACE :]
        field = put.text(visible(first.field, 80), "cyan")
        out.add_row(
            verdict + put.text(f"\n{place}", "dim"),
            put.text(f"{finding.score:.3f}") + put.text(f"\n/{finding.threshold:.3f}", "dim"),
            field + put.text("\n" + visible(first.text, EVIDENCE)),
            put.text(visible(finding.nearest[0].id, 40) if finding.nearest else "-"),
        )
    return out


def _common_folder(paths: list[str]) -> str:
    folders = {path.rpartition("/")[0] for path in paths}
    return f"{folders.pop()}/" if len(folders) == 1 else ""


def _first(finding: Finding) -> Evidence:
    return finding.evidence[0] if finding.evidence else _NOTHING


def _row(finding: Finding) -> tuple[Any, ...]:
    first = _first(finding)
    nearest = finding.nearest[0] if finding.nearest else None
    return (
        finding.where.path,
        finding.where.line,
        finding.where.byte,
        finding.time,
        finding.host,
        finding.verdict,
        finding.name,
        finding.severity,
        round(finding.score, 4),
        round(finding.threshold, 4),
        first.field,
        *(first.span or (None, None)),
        " > ".join(first.chain),
        first.text,
        nearest and nearest.id,
        nearest and nearest.title,
        nearest and round(nearest.score, 4),
        finding.runner_ups[0].id if finding.runner_ups else None,
        finding.record,
        finding.bundle,
        finding.intel_version,
    )


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    shown = shorten(visible(value, CELL), CELL)
    return "'" + shown if value.startswith(_FORMULA) else shown
