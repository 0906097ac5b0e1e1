"""``train``, ``eval`` and ``bench``: making a bundle and measuring it."""

from __future__ import annotations

import json
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
    with show.progress() as on_step:
        figures = run(recipe, data, out, seed=seed, resume=resume, limit=limit, on_step=on_step)
    show.pairs(figures)


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
    from . import show

    figures = options.engine(ctx, bundle, intel, config).evaluate(files)
    _write(figures, out)
    if str(out) != "-":
        show.pairs(figures)


@bench.command("payloads")
def bench_payloads(
    ctx: typer.Context,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILES...]", help="Requests to repeat. Default: the sample."),
    ] = None,
    requests: Annotated[int, typer.Option("--requests", min=100, help="Of one run.")] = 20_000,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Runs of each kind.")] = 3,
    cores: Annotated[int, typer.Option("--cores", min=1, help="Processor cores used.")] = 2,
    peer: Annotated[
        bool, typer.Option("--peer/--no-peer", help="Measure TF-IDF with scikit-learn too.")
    ] = True,
    out: Out = None,
    bundle: Bundle = None,
    intel: Intel = None,
) -> None:
    """Requests a second, latency, memory and time to the first finding."""
    from .. import bench as benchmark
    from ..engine import Engine
    from . import show

    where, own = options.places(ctx, bundle, intel)
    figures = benchmark.payloads(
        lambda config: Engine.load(where, intel=own, config=config),
        files or None,
        requests=requests,
        repeats=repeats,
        cores=cores,
        peer=peer,
        options=[*(["--bundle", str(where)] if where else []), "--intel", str(own)],
    )
    _write(figures, out)
    if str(out) != "-":
        show.pairs(dict(benchmark.render(figures)))


def _write(figures: dict[str, Any], out: Path | None) -> None:
    if out:
        with options.output(out) as file:
            file.write(json.dumps(figures, indent=2) + "\n")
