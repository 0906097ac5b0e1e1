"""``synth``: a benchmark out of CVE descriptions and generated payloads."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ..errors import UsageError
from . import options
from .options import ConfigFile, Json

if TYPE_CHECKING:
    from ..dataset.chat import Chat


class Generators(StrEnum):
    grammar = "grammar"
    llm = "llm"


def synth(
    ctx: typer.Context,
    cves: Annotated[
        list[str],
        typer.Option("--cves", metavar="FILE", help="NVD, CVE JSON or JSON lines; repeatable."),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where the benchmark is written.")
    ],
    per_class: Annotated[
        int, typer.Option("--per-class", metavar="N", min=10, help="Rows of each class.")
    ] = 1000,
    benign: Annotated[
        int | None,
        typer.Option("--benign", metavar="N", min=10, help="Benign rows. Default: as a class."),
    ] = None,
    generator: Annotated[
        Generators, typer.Option("--generator", help="Who writes the payloads.")
    ] = Generators.grammar,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Another seed, other rows.")] = 0,
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", metavar="URL", help="llm: an OpenAI-compatible endpoint."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="llm: the model's name there.")
    ] = None,
    key_env: Annotated[
        str, typer.Option("--key-env", metavar="NAME", help="llm: the variable that holds the key.")
    ] = "OPENAI_API_KEY",
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=1, help="llm: requests at a time.")
    ] = 4,
    price_in: Annotated[
        float | None,
        typer.Option("--price-in", metavar="X", min=0, help="llm: price of a million tokens sent."),
    ] = None,
    price_out: Annotated[
        float | None,
        typer.Option("--price-out", metavar="X", min=0, help="llm: the same, received."),
    ] = None,
    json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Build a benchmark: payloads of the eleven classes, each with a CVE description."""
    from ..dataset.build import build
    from ..dataset.grammar import FromGrammar
    from ..dataset.model import FromModel
    from ..dataset.write import prepare
    from . import show

    limits = options.settings(ctx, config).limits
    bill = None
    if generator is Generators.llm:
        prepare(out)
        chat = _chat(base_url, model, os.environ.get(key_env, ""), out, workers)
        bill = _Bill(chat, price_in, price_out)
    try:
        with _progress(bill) as on_step:
            card = build(
                cves,
                out,
                per_class=per_class,
                benign=benign,
                seed=seed,
                generator=FromModel(bill.chat, seed) if bill else FromGrammar(seed),
                limits=limits,
                on_step=on_step,
            )
    except BaseException:  # whatever ended it, the answers were paid for
        if bill:
            typer.echo(str(bill), err=True)
        raise
    if json:
        requests = bill.figures() if bill else None
        show.write_json(card | {"out": str(out), "requests": requests})
        return
    show.counts(
        ["Class", "train", "valid", "test", "CVEs", "used again", "at most"],
        [[label, *by.values(), *_uses(card, label)] for label, by in card["rows"].items()],
    )
    if bill:
        typer.echo(str(bill))
    why = ", ".join(f"{n:,} {reason}" for reason, n in sorted(card["rejected"].items()))
    total = sum(card["rejected"].values())
    typer.echo(f"{total:,} payloads rejected" + (f": {why}" if why else ""))
    typer.echo(f"the benchmark: {out}")


def _uses(card: dict[str, Any], label: str) -> list[object]:
    """Distinct CVEs of a class, how many have several payloads, the most payloads of one."""
    return list(card["cves"].get(label, {"used": "-", "reused": "-", "most": "-"}).values())


def _chat(base_url: str | None, model: str | None, key: str, out: Path, workers: int) -> Chat:
    from ..dataset.chat import Chat
    from ..dataset.journal import Journal
    from ..dataset.write import JOURNAL

    if not base_url or not model:
        raise UsageError(
            "the generator llm needs --base-url and --model",
            hint="for a model on this machine: --base-url http://localhost:8080/v1 --model NAME",
        )
    return Chat(base_url, model, key, Journal(out / JOURNAL), workers=workers)


class _Bill(NamedTuple):
    """What a model's answers took; prices are for a million tokens, None where not given."""

    chat: Chat
    price_in: float | None
    price_out: float | None

    def figures(self) -> dict[str, Any]:
        """Requests sent now, answers taken from the journal; tokens and cost of all of them."""
        sent, received = self.chat.tokens
        cost = (sent * (self.price_in or 0) + received * (self.price_out or 0)) / 1e6
        priced = self.price_in is not None or self.price_out is not None
        return {
            "sent": self.chat.asked,
            "from_journal": self.chat.answers - self.chat.asked,
            "tokens_in": sent,
            "tokens_out": received,
            "cost": round(cost, 6) if priced else None,
        }

    def __str__(self) -> str:
        f = self.figures()
        cost = "" if f["cost"] is None else f" · cost {f['cost']:,.4f}"
        return (
            f"{f['sent']:,} requests sent · {f['from_journal']:,} answers from the journal · "
            f"{f['tokens_in']:,} tokens in · {f['tokens_out']:,} out{cost}"
        )


@contextmanager
def _progress(bill: _Bill | None) -> Iterator[Callable[[str, int, int], object]]:
    """A bar for each class on standard error; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from .show import stderr

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=stderr()) as bars:
        known: dict[str, Any] = {}

        def on_step(label: str, done: int, total: int) -> None:
            if label not in known:
                known[label] = bars.add_task(label, total=total, note="")
            bars.update(known[label], completed=done, note=str(bill or ""))

        yield on_step
