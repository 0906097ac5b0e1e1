"""What people see on a terminal. Evidence goes there only through ``report.visible``."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import DragomanError
from ..records import Counts, Explanation, Hit, Reading, Text
from ..report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from rich.console import Console
    from rich.progress import TaskID
    from rich.table import Table


_CLASSES = 10  # classes listed by ``explain``; ``--json`` has them all


def stdout() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def write_json(value: Any) -> None:
    """``value`` as indented JSON on standard output."""
    print(json.dumps(value, indent=2))


def rejected(counts: Counts) -> None:
    """What was rejected, on standard error: the records kept, and how many more there were."""
    for reject in counts.rejects:
        print(visible(f"rejected: {reject.where}: {reject.reason}"), file=sys.stderr)
    if more := counts.rejected - len(counts.rejects):
        print(f"and {more:,} more rejected", file=sys.stderr)


def failure(err: DragomanError, *, as_json: bool) -> None:
    """The error on standard error: a panel on a terminal, else text, or one JSON object."""
    if as_json:
        said = {"error": err.what, "where": err.where, "hint": err.hint, "exit": err.exit_code}
        print(json.dumps(said), file=sys.stderr)
        return
    what, where = visible(err.what), visible(err.where or "")
    hint = [visible(line) for line in (err.hint or "").splitlines()]
    if sys.stderr.isatty():
        from rich.panel import Panel
        from rich.text import Text

        text = Text("\n".join([what, *([f"at {where}"] if where else []), *hint]))
        stderr().print(Panel(text, title="error", title_align="left", border_style="red"))
    else:
        head = f"error: {where}: {what}" if where else f"error: {what}"
        print("\n  ".join([head, *map(str.strip, hint)]), file=sys.stderr)


def explanation(found: Explanation) -> None:
    """The verdict, the nearest texts, every class and every field as the model read it."""
    console = stdout()
    finding = found.finding
    verdict = f"{finding.name} ({finding.verdict}), {finding.severity}" if finding else "no finding"
    sign = "≥" if found.score >= found.threshold else "<"
    console.print(
        f"{visible(verdict)}: score {found.score:.3f} {sign} threshold {found.threshold:.3f}",
        markup=False,
    )
    for evidence in finding.evidence if finding else ():
        decoded = f" (decoded: {' > '.join(evidence.chain)})" if evidence.chain else ""
        console.print(
            f"  {visible(evidence.field)}{decoded}: {visible(evidence.text, 400)}",
            markup=False,
            soft_wrap=True,
        )
    console.print(_fields(found.readings))
    console.print(hits(found.classes[:_CLASSES], "Threat class"))
    console.print(hits(found.nearest, "Nearest intelligence"))


def _fields(readings: Iterable[Reading]) -> Table:
    out = _table("Field", "Score>", "Span", "As read, decoded")
    for r in sorted(readings, key=lambda r: -r.score):
        decoded = [f"{' > '.join(v.chain)}: {visible(v.text, 160)}" for v in r.views if v.chain]
        read = "\n".join(decoded or [visible(r.value, 160)])
        _row(out, visible(r.field, 80), f"{r.score:.3f}", f"{r.span[0]}-{r.span[1]}", read)
    return out


def hits(found: Iterable[Hit], title: str = "Title") -> Table:
    """A table of hits, best first as given."""
    out = _table("Score>", "Id", title, "Source")
    for hit in found:
        _row(out, f"{hit.score:.3f}", hit.id, visible(hit.title, 160), visible(hit.source, 40))
    return out


def texts(found: Iterable[Text]) -> Table:
    """A table of intelligence texts."""
    out = _table("Id", "Kind", "Title", "Source")
    for text in found:
        _row(out, text.id, text.kind, visible(text.title, 160), visible(text.source, 40))
    return out


def counts(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """A table of numbers, the first column being names."""
    first, *others = columns
    out = _table(first, *(f"{name}>" for name in others))
    for cells in rows:
        _row(out, *(f"{c:,}" if isinstance(c, int) else str(c) for c in cells))
    stdout().print(out)


def pairs(values: Mapping[str, Any], indent: int = 0) -> None:
    """Nested values as indented ``name: value`` lines, nothing left out."""
    console = stdout()
    for name, value in values.items():
        head = f"{' ' * indent}{name}"
        if isinstance(value, dict) and value:
            console.print(head, markup=False)
            pairs(value, indent + 2)
            continue
        if isinstance(value, list | tuple):
            value = ", ".join(map(_figure, value))
        console.print(f"{head}: {_figure(value)}", markup=False, soft_wrap=True)


@contextmanager
def progress() -> Iterator[Callable[..., None] | None]:
    """A bar for each stage of a long run, on standard error; None where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=stderr()) as bars:
        known: dict[str, TaskID] = {}

        def on_step(stage: str, step: int, total: int, loss: float | None = None) -> None:
            if stage not in known:
                known[stage] = bars.add_task(stage)
            said = f"{stage} {step:,}/{total:,}" + ("" if loss is None else f" loss {loss:.4f}")
            bars.update(known[stage], completed=step, total=total, description=said)

        yield on_step


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else visible(str(value))


def _table(*columns: str) -> Table:
    """An empty table; a column whose name ends in ``>`` is right-aligned."""
    from rich import box
    from rich.table import Table

    out = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        right = name.endswith(">")
        out.add_column(name.rstrip(">"), justify="right" if right else "left", overflow="fold")
    return out


def _row(table: Table, *cells: str) -> None:
    from rich.text import Text

    table.add_row(*map(Text, cells))
