"""Who may import whom, what nobody below the commands does, and what a scan never loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dragoman

ROOT = Path(dragoman.__file__).parent
BASE = {"records", "errors", "config"}

# The layer (a module, or a package with all in it): the layers it may import besides itself.
MAY: dict[str, set[str]] = {
    # what everyone shares
    "records": set(),
    "errors": {"records"},
    "config": {"errors"},
    # bytes -> records; requests -> views -> hashed features; knowledge -> texts
    "sources": BASE | {"opening"},
    "opening": BASE,
    "duplicates": set(),
    "prepare": BASE,
    "features": BASE,
    "synth": BASE,
    "index": BASE,
    "intel": BASE | {"opening", "index"},
    # training; ``model`` alone knows torch
    "recipe": BASE,
    "corpus": BASE | {"recipe", "features", "prepare", "intel", "synth", "sources"},
    "model": BASE
    | {"recipe", "corpus", "bundle", "encode", "features", "calibrate", "index", "evaluate"}
    | {"places"},
    "dataset": BASE | {"__init__", "duplicates", "intel", "opening", "prepare", "synth"},
    # inference
    "bundle": BASE | {"features"},
    "encode": BASE | {"bundle", "features"},
    "prototypes": BASE | {"bundle", "features", "prepare"},
    "places": BASE | {"prepare"},
    "knowledge": BASE | {"bundle", "encode", "index", "intel", "places", "prototypes"},
    "detect": BASE | {"encode", "prepare", "prototypes"},
    "findings": BASE | {"detect", "knowledge", "prepare"},
    "calibrate": BASE,
    "evaluate": BASE,
    "measure": BASE | {"detect", "encode", "evaluate", "places", "sources"},
    "scanning": BASE,
    "engine": BASE
    | {"bundle", "detect", "encode", "findings", "intel", "knowledge", "measure", "prepare"}
    | {"places", "scanning", "sources"},
    # what people see
    "report": {"records", "errors"},
    "demo": set(),
    "cli": {
        "__init__",
        "engine",
        "report",
        "config",
        "errors",
        "records",
        "demo",
        "bench",
        "dataset",
        "model",
    },
    "__init__": BASE | {"engine"},
    "__main__": {"cli"},
}
MAY["bench"] = set(MAY) - {"cli"}

TRAINING = {"torch", "sklearn", "sentence_transformers", "transformers", "onnx", "onnxscript"}
CLIENT = {"openai": {"dataset"}}  # the only thing that ever reaches for a network
TRAINING_IN = {"torch": {"model"}, "sklearn": {"model", "bench"}}  # the others: model alone
NEVER = {"pickle", "shelve", "marshal", "dill", "joblib", "requests", "httpx", "urllib.request",
         "http.client", "socket", "ftplib", "xml.etree", "xml.sax", "xml.dom", "lxml"}  # fmt: skip
# ``intel add URL``, and nothing else, downloads: by one module that is loaded for that command.
DOWNLOADS = {("cli", "fetch"): {"urllib.request", "http.client"}}
ONLY_CLI = {"logging", "typer", "click"}
CALLS = {"eval", "exec", "__import__"}
CLI_CALLS = {"print", "input", "exit", "quit", "breakpoint"}


def _modules():
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield pytest.param(parts, ast.parse(path.read_text("utf-8")), id="/".join(parts))


def _imports(parts, tree):
    """Every imported name, ``dragoman.``-qualified for our own, ``from`` names included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ["dragoman", *parts[: len(parts) - node.level]] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _type_only(tree):
    """The same tree without what stands under ``if TYPE_CHECKING:``; types bind nothing."""

    class Drop(ast.NodeTransformer):
        def visit_If(self, node):
            return None if ast.unparse(node.test) == "TYPE_CHECKING" else node

    return Drop().visit(tree)


@pytest.mark.parametrize(("parts", "tree"), [*_modules()])
def test_layers(parts, tree):
    layer = parts[0]
    assert layer in MAY, f"give {layer} a row in the table of layers"
    runtime = _type_only(tree)
    for name in _imports(parts, runtime):
        top, _, rest = name.partition(".")
        if top == "dragoman":
            layers = {path.stem for path in ROOT.iterdir()}
            target = rest.split(".")[0] if rest.split(".")[0] in layers else "__init__"
            assert target == layer or target in MAY[layer], f"{layer} may not import {target}"
        elif top in TRAINING:
            assert layer in TRAINING_IN.get(top, {"model"}), f"{layer} may not import {top}"
        assert layer in CLIENT.get(top, {layer}), f"{layer} may not import {top}"
        never = NEVER - DOWNLOADS.get(parts, set())
        forbidden = [bad for bad in never if name == bad or name.startswith(bad + ".")]
        assert not forbidden, f"{'/'.join(parts)} imports {name}"
        assert layer in {"cli"} or top not in ONLY_CLI, f"{layer} may not import {top}"


@pytest.mark.parametrize(("parts", "tree"), [*_modules()])
def test_calls(parts, tree):
    cli = parts[0] in {"cli", "__main__"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            text = ast.unparse(node)
            assert text not in {"os.system", "os.popen"}, f"line {node.lineno}: {text}"
            assert cli or text not in {"os.environ", "os.getenv", "sys.exit", "sys.argv"}, (
                f"line {node.lineno}: only the commands may use {text}"
            )
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in CALLS, f"line {node.lineno}: {name}()"
            assert cli or name not in CLI_CALLS, f"line {node.lineno}: {name}() below the commands"
            shell = [k for k in node.keywords if k.arg == "shell"]
            assert not shell, f"line {node.lineno}: a shell"


NETWORK = ["http.client", "urllib.request"]
HEAVY = sorted(TRAINING | {"tensorflow", "pyarrow", "openai"})


def _loaded(code: str, *names: str) -> list[str]:
    """Which of ``names`` a fresh interpreter has loaded after ``code``."""
    tail = f"\nimport sys; print(*[n for n in {list(names)!r} if n in sys.modules], sep=',')"
    done = subprocess.run(
        [sys.executable, "-c", code + tail], capture_output=True, text=True, timeout=120, check=True
    )
    return [name for name in done.stdout.splitlines()[-1].split(",") if name]


HELP = """
from dragoman.cli import app
try:
    app(["--help"], prog_name="dragoman")
except SystemExit as end:
    assert not end.code, end.code
"""


def test_help_loads_nothing_heavy():
    assert _loaded(HELP, *HEAVY, *NETWORK, "numpy", "onnxruntime", "tokenizers", "rich") == []


def test_import_loads_nothing_heavy():
    assert _loaded("import dragoman", *HEAVY, "numpy", "onnxruntime", "typer", "rich") == []


def test_a_scan_loads_no_training_package_and_no_client(tmp_path):
    log = tmp_path / "values.txt"
    log.write_text("hello world\n1' UNION SELECT password FROM users-- -\n", "utf-8")
    code = f"""
from dragoman import Engine
scan = Engine.load().scan({str(log)!r}, format="lines")
list(scan)
assert scan.counts.parsed == 2, scan.counts
"""
    assert _loaded(code, *HEAVY, *NETWORK) == []
