"""``scan`` and ``demo``: findings to screen, JSON lines, CSV and a page in one pass."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SourceError, UsageError
from ..records import Counts, Finding, Rejected
from . import options
from .options import Bundle, ConfigFile, Intel, Json

if TYPE_CHECKING:
    from ..engine import Engine


def scan(
    ctx: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATHS...",
            help="Files, directories, globs; - is standard input. Plain, .gz or .zip.",
        ),
    ],
    format: Annotated[
        str | None, typer.Option("--format", help="Name the input's format instead of sniffing it.")
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(
            "--column", help="The column or key holding the payload (tables, JSON lines)."
        ),
    ] = None,
    json: Json = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE|-", help="Findings as CSV.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="A page that opens from disk.")
    ] = None,
    rejects: Annotated[
        Path | None,
        typer.Option("--rejects", metavar="FILE", help="Rejected records as JSON lines."),
    ] = None,
    fail_on_finding: Annotated[
        bool, typer.Option("--fail-on-finding", help="Exit 1 when something was found.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first record that cannot be parsed.")
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", min=0, max=1, help="Instead of the bundle's own."),
    ] = None,
    limit_rows: Annotated[
        int, typer.Option("--limit-rows", min=0, help="Rows of the table; all are counted.")
    ] = 50,
    bundle: Bundle = None,
    intel: Intel = None,
    config: ConfigFile = None,
) -> None:
    """Read web traffic and name the attacks in it."""
    if json and str(csv) == "-":
        raise UsageError("--json and --csv - both want standard output", hint="give one a file")
    engine = options.engine(ctx, bundle, intel, config, threshold=threshold)
    found = engine.scan(paths, format=format, column=column, strict=strict)
    to_stdout = json or str(csv) == "-"
    with ExitStack() as files:
        if rejects:
            found.on_reject = _writer(files.enter_context(options.output(rejects)))
        report(
            engine,
            found,
            found.counts,
            source=", ".join(paths),
            jsonl=Path("-") if json else None,
            csv=csv,
            html=html,
            limit=0 if to_stdout else limit_rows,
            to_stdout=to_stdout,
        )
    if fail_on_finding and found.counts.found:
        raise typer.Exit(1)


def demo(
    ctx: typer.Context,
    html: Annotated[
        Path, typer.Option("--html", metavar="FILE", help="Where the page is written.")
    ] = Path("dragoman-demo.html"),
    bundle: Bundle = None,
    intel: Intel = None,
    config: ConfigFile = None,
) -> None:
    """Scan the shipped sample and write a report."""
    from .. import demo as sample
    from .show import stdout

    engine = options.engine(ctx, bundle, intel, config)
    found = engine.scan([str(sample.sample_path())])
    seen: list[str] = []
    report(engine, _noting(found, seen), found.counts, source="the shipped sample", html=html)
    console = stdout()
    hit = sample.planted() & set(seen)
    console.print(
        f"\n{len(hit)} of the {len(sample.planted())} planted attacks were found, "
        f"with {len(seen) - len(hit)} false alarms.\n"
        f"The page: {html}\n\nNext, with your own files:\n"
        "  dragoman scan access.log --html report.html\n"
        "  dragoman scan traffic.har requests/*.txt.gz --json > findings.jsonl\n"
        "  dragoman explain \"id=1' OR '1'='1\"",
        markup=False,
        soft_wrap=True,
    )


def report(
    engine: Engine,
    findings: Iterable[Finding],
    counts: Counts,
    *,
    source: str,
    jsonl: Path | None = None,
    csv: Path | None = None,
    html: Path | None = None,
    limit: int = 50,
    to_stdout: bool = False,
) -> None:
    """Send each finding, as it is found, to every output asked for; then print the table.

    The table goes to standard error when ``to_stdout`` says that findings go to standard output.
    What was seen is printed even when the scan ends early; the reason is raised after that, and
    the page is not written.
    """
    from ..report.rows import table, tee_csv, tee_jsonl
    from .show import stderr, stdout

    stream = findings
    with ExitStack() as files:
        if html:
            stream = _tee_html(stream, counts, engine, source, html)
        if csv:
            stream = tee_csv(stream, files.enter_context(options.output(csv)))
        if jsonl:
            stream = tee_jsonl(stream, files.enter_context(options.output(jsonl)))
        ended: list[BaseException] = []
        stream = _watched(stream, counts, shown=not (to_stdout and sys.stdout.isatty()))
        table(_held(stream, ended), counts, (stderr if to_stdout else stdout)(), limit=limit)
    if ended:
        raise ended[0]


def _tee_html(
    findings: Iterable[Finding], counts: Counts, engine: Engine, source: str, path: Path
) -> Iterator[Finding]:
    from ..report.html import Meta, tee_html

    meta = Meta(
        title="Attacks found in web traffic",
        source=source,
        bundle=engine.name,
        digest=engine.digest,
        intel_version=engine.intel_version,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=shlex.join(["dragoman", *sys.argv[1:]]),
    )
    return tee_html(findings, counts, meta, path)


def _held(findings: Iterable[Finding], ended: list[BaseException]) -> Iterator[Finding]:
    """End quietly where the scan was stopped, and keep the reason."""
    try:
        yield from findings
    except (SourceError, KeyboardInterrupt) as err:
        ended.append(err)


def _watched(findings: Iterable[Finding], counts: Counts, *, shown: bool) -> Iterator[Finding]:
    """Show how far the scan is while it runs, on standard error if that is a terminal."""
    if not (shown and sys.stderr.isatty()):
        yield from findings
        return
    from rich.live import Live
    from rich.spinner import Spinner

    from .show import stderr

    began, spinner = time.monotonic(), Spinner("dots")

    def now() -> Any:
        took = time.monotonic() - began
        spinner.update(text=f"{counts.parsed:,} records · {counts.found:,} found · {took:.0f} s")
        return spinner

    with Live(get_renderable=now, console=stderr(), transient=True, refresh_per_second=8):
        yield from findings


def _noting(findings: Iterable[Finding], seen: list[str]) -> Iterator[Finding]:
    for finding in findings:
        seen.append(finding.record)
        yield finding


def _writer(file: IO[str]) -> Callable[[Rejected], object]:
    """Writes rejected records to ``file``, one JSON line each."""
    return lambda reject: file.write(json.dumps(reject.to_dict()) + "\n")
