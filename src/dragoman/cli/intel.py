"""``intel``: the user's own intelligence, beside what is built in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Annotated

import typer

from ..errors import IntelError
from ..records import Counts, Rejected, Text
from . import options
from .options import Bundle, ConfigFile, Intel, Json

_SHOWN = 10  # rejected texts that are listed
_LISTED = 50  # added texts that are listed; of more, how many of each kind

intel = typer.Typer(
    help="Add, list and remove your own intelligence.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@intel.command()
def add(
    ctx: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES...",
            help="ATT&CK or CAPEC STIX, CVE or NVD JSON, CWE XML, Sigma rules, reports (text,"
            " Markdown, HTML, PDF); also https:// addresses of such files.",
        ),
    ],
    as_class: Annotated[
        bool, typer.Option("--class", help="Each file describes a threat class of its own.")
    ] = False,
    json: Json = False,
    bundle: Bundle = None,
    intel: Intel = None,
    config: ConfigFile = None,
) -> None:
    """Add texts; the next scan knows them."""
    from . import fetch, show

    engine = options.engine(ctx, bundle, intel, config)
    counts = Counts()

    def note(reject: Rejected) -> None:
        counts.rejected += 1
        if len(counts.rejects) < _SHOWN:
            counts.rejects.append(reject)

    most = options.settings(ctx, config).limits.document_bytes
    with fetch.local(files, most) as paths, show.progress() as bar:
        on_step = partial(bar, "encoding") if bar else None
        texts = engine.add_intel(paths, as_class=as_class, on_reject=note, on_step=on_step)
    if json:
        show.write_json([{"id": t.id, "kind": t.kind, "title": t.title} for t in texts])
    else:
        if len(texts) <= _LISTED:
            show.stdout().print(show.texts(texts))
        else:
            show.counts(("Kind", "Texts"), _kinds(texts))
        added = f"{len(texts):,} added · {counts.rejected:,} rejected"
        typer.echo(f"{added} · intelligence {engine.intel_version}")
    show.rejected(counts)


@intel.command("list")
def list_(
    ctx: typer.Context,
    json: Json = False,
    bundle: Bundle = None,
    intel: Intel = None,
    config: ConfigFile = None,
) -> None:
    """List the texts that were added."""
    from . import show

    texts = options.engine(ctx, bundle, intel, config).list_intel()
    if json:
        show.write_json(
            [{"id": t.id, "kind": t.kind, "title": t.title, "source": t.source} for t in texts]
        )
    else:
        show.stdout().print(show.texts(texts))
        typer.echo(" · ".join(f"{count:,} {kind}" for kind, count in _kinds(texts)))


def _kinds(texts: Iterable[Text]) -> list[tuple[str, int]]:
    return Counter(str(text.kind) for text in texts).most_common()


@intel.command()
def remove(
    ctx: typer.Context,
    ids: Annotated[
        list[str],
        typer.Argument(
            metavar="IDS...", help="Ids as `intel list` shows them; `T1*` means all such."
        ),
    ],
    bundle: Bundle = None,
    intel: Intel = None,
    config: ConfigFile = None,
) -> None:
    """Remove texts that were added."""
    removed = options.engine(ctx, bundle, intel, config).remove_intel(ids)
    if not removed:
        raise IntelError(
            "nothing removed: no such id", where=", ".join(ids), hint="see `dragoman intel list`"
        )
    typer.echo(f"{removed:,} removed")
