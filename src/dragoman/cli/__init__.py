"""The command ``dragoman``: options, exit codes and how errors look. What it does is in the engine.

Commands import the engine, NumPy and tables only once they run, so that ``--help`` is quick.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from ..errors import DragomanError
from .ask import explain, info, search
from .intel import intel
from .lab import bench, evaluate, train
from .options import Bundle, ConfigFile, Intel, Setup, setup
from .scan import demo, scan
from .show import failure
from .synth import synth

EXIT_CODES = """\b
Exit codes:
  0    done
  1    done, and something was found (only with --fail-on-finding)
  2    wrong use
  3    input unreadable, or nothing in it could be parsed
  4    bundle or intelligence unusable
  130  interrupted
  141  the reader of the output closed it"""


class Commands(TyperGroup):
    """The commands; an error of ours becomes a message and an exit code, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except DragomanError as err:
            failure(err, as_json=setup(ctx).json_errors)
            raise typer.Exit(err.exit_code) from err
        except BrokenPipeError as err:  # the reader has had enough: end as SIGPIPE would
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from err


app = typer.Typer(
    cls=Commands,
    help="Reads attack evidence in the language of threat intelligence.",
    epilog=EXIT_CODES,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"dragoman {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    ctx: typer.Context,
    bundle: Bundle = None,
    intel: Intel = None,
    config: ConfigFile = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    ctx.obj = Setup(bundle, intel, config)


app.command(epilog=EXIT_CODES)(demo)
app.command(epilog=EXIT_CODES)(scan)
app.command()(explain)
app.command()(search)
app.add_typer(intel, name="intel")
app.command()(synth)
app.command()(train)
app.add_typer(evaluate, name="eval")
app.add_typer(bench, name="bench")
app.command()(info)


def main() -> None:
    """Run the command named on the command line.

    A scan uses one process a core; threads inside NumPy's products would only get in the way.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    app(prog_name="dragoman")
