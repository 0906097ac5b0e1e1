"""``train``, ``eval`` and ``bench``: making a bundle and measuring it."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError
from . import options
from .options import Bundle, ConfigFile, Intel

evaluate = typer.Typer(
    help="Measure a bundle on labelled data.", no_args_is_help=True, rich_markup_mode=None
)
bench = typer.Typer(help="Measure speed and memory.", no_args_is_help=True, rich_markup_mode=None)

Out = Annotated[
    Path | None, typer.Option("--json", metavar="OUT", help="Write the figures as JSON; - prints.")
]


def train(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A shipped recipe's name, or a TOML file.")
    ],
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="The training data.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the run is kept.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a stopped run left off.")
    ] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="Instead of the recipe's.")] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Use at most so many records.")
    ] = None,
) -> None:
    """Train a bundle (needs the extra [train])."""
    from . import show

    try:
        from ..model.train import run
    except ModuleNotFoundError as err:
        if (err.name or "").startswith("dragoman"):
            raise
        raise UsageError(
            f"training needs {err.name}, which is not installed",
            hint="pip install 'dragoman[train]'",
        ) from err
    show.pairs(run(recipe, data, out, seed=seed, resume=resume, limit=limit))


@evaluate.command("payloads")
def evaluate_payloads(
    ctx: typer.Context,
    files: Annotated[
        list[str], typer.Argument(metavar="FILES...", help="Labelled payloads, JSON lines.")
    ],
    out: Out = None,
    bundle: Bundle = None,
    intel: Intel = None,
    config: ConfigFile = None,
) -> None:
    """Classification, detection, retrieval and speed on labelled payloads."""
    _result(options.engine(ctx, bundle, intel, config).evaluate(files), out)


def _result(figures: dict[str, Any], out: Path | None) -> None:
    """Print the figures; with ``--json`` write them too, or print them as JSON alone."""
    from . import show

    if out:
        with options.output(out) as file:
            file.write(jsonlib.dumps(figures, indent=2) + "\n")
    if str(out) != "-":
        show.pairs(figures)
