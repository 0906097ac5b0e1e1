"""``intel``: the user's own intelligence, beside what is built in."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import IntelError
from ..records import Counts, Rejected
from . import options
from .options import Bundle, ConfigFile, Intel, Json

_SHOWN = 10  # rejected texts that are listed

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
            metavar="FILES...", help="CVE JSON, NVD JSON, CWE XML, CAPEC STIX, text, Markdown."
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
    from . import show

    engine = options.engine(ctx, bundle, intel, config)
    counts = Counts()

    def note(reject: Rejected) -> None:
        counts.rejected += 1
        if len(counts.rejects) < _SHOWN:
            counts.rejects.append(reject)

    texts = engine.add_intel(files, as_class=as_class, on_reject=note)
    if json:
        show.write_json([{"id": t.id, "kind": t.kind, "title": t.title} for t in texts])
    else:
        show.stdout().print(show.texts(texts))
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


@intel.command()
def remove(
    ctx: typer.Context,
    ids: Annotated[
        list[str], typer.Argument(metavar="IDS...", help="Ids as `intel list` shows them.")
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
