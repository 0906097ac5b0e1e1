"""``dragoman synth`` as a user runs it, with a real endpoint on this machine for ``llm``."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading

import pytest
from typer.testing import CliRunner

from dragoman.cli import app
from dragoman.cli.synth import _progress
from dragoman.intel import benchmark
from llm_server import Model, records, serving, write_records

SPLITS = ("train", "valid", "test")


@pytest.fixture
def cves(tmp_path):
    return write_records(tmp_path / "cves.jsonl", records())


@pytest.fixture
def model():
    pytest.importorskip("openai", reason="openai is missing: pip install 'dragoman[llm]'")
    with serving(Model()) as model:
        yield model


def run(*args, code=0, env=None):
    done = CliRunner().invoke(app, ["synth", *map(str, args)], env=env)
    assert done.exit_code == code, (done.output, done.stderr, done.exception)
    return done


def llm(model, cves, out, *more):
    return [
        *("--cves", cves, "-o", out, "--per-class", 10, "--generator", "llm"),
        *("--base-url", model.url, "--model", "test-model", *more),
    ]


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_grammar_by_default(cves, tmp_path):
    said = run("--cves", cves, "-o", tmp_path / "out", "--per-class", 10).stdout
    assert re.search(r"sql-injection\s+7\s+1\s+2\s+6\s+4\s+2", said)
    assert "payloads rejected" in said
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        *("train.jsonl", "valid.jsonl", "test.jsonl", "texts", "rejected.jsonl"),
        *("card.json", "README.md"),
    }


def test_json_is_the_card(cves, tmp_path):
    out = tmp_path / "out"
    said = json.loads(run("--cves", cves, "-o", out, "--per-class", 10, "--json").stdout)
    assert said == json.loads((out / "card.json").read_text()) | {"out": str(out), "requests": None}


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self):
        return True


def test_on_a_terminal_every_class_has_a_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with _progress(None) as on_step:
        on_step("sql-injection", 3, 10)
    assert re.search(r"sql-injection .*3/10", sys.stderr.getvalue())


def test_in_a_pipe_nothing_is_said_but_the_result(cves, tmp_path):
    done = run("--cves", cves, "-o", tmp_path / "out", "--per-class", 10, "--json")
    assert done.stderr == ""
    assert json.loads(done.stdout)


@pytest.mark.parametrize(
    ("args", "code", "what"),
    [
        (["--per-class", 9], 2, "per-class"),
        (["--generator", "oracle"], 2, "oracle"),
        (["--generator", "llm"], 2, "needs --base-url and --model"),
        (["--cves", "nowhere.json"], 3, "no such file"),
    ],
)
def test_wrong_use(cves, tmp_path, args, code, what):
    given = [] if "--cves" in args else ["--cves", cves]
    assert what in run(*given, "-o", tmp_path / "out", *args, code=code).stderr


def test_a_class_with_too_few_cves_is_named(tmp_path):
    cves = write_records(tmp_path / "few.jsonl", records(but="crlf-injection"))
    said = run("--cves", cves, "-o", tmp_path / "out", "--json", code=3).stderr
    assert json.loads(said)["error"] == "too few CVEs of crlf-injection (2)"


def test_llm(model, cves, tmp_path):
    out = tmp_path / "out"
    env = {"MY_KEY": "k-123"}
    prices = ("--price-in", 2, "--price-out", 10, "--key-env", "MY_KEY")
    said = run(*llm(model, cves, out, *prices), env=env).stdout
    sent = len(model.asked)
    assert f"{sent} requests sent · 0 answers from the journal" in said
    assert f"{100 * sent:,} tokens in · {20 * sent:,} out · cost {sent * 400 / 1e6:.4f}" in said
    assert set(model.keys) == {"Bearer k-123"}
    for split, size in zip(SPLITS, (7, 1, 2), strict=True):
        rows = lines(out / f"{split}.jsonl")
        assert len(rows) == 12 * size
        groups = {r["group"].split("/")[1] for r in rows if r["label"] != "benign"}
        assert groups == {"test-model"}


def test_llm_as_json_says_what_it_took(model, cves, tmp_path):
    said = run(*llm(model, cves, tmp_path / "out", "--json", "--price-in", 1)).stdout
    sent = len(model.asked)
    assert json.loads(said)["requests"] == {
        **{"sent": sent, "from_journal": 0, "tokens_in": 100 * sent, "tokens_out": 20 * sent},
        "cost": round(sent / 1e4, 6),
    }


def test_a_finished_benchmark_is_not_overwritten(model, cves, tmp_path):
    run(*llm(model, cves, tmp_path / "out"))
    assert "finished benchmark" in run(*llm(model, cves, tmp_path / "out"), code=2).stderr


def test_built_anew_from_the_journal_alone(model, cves, tmp_path):
    out = tmp_path / "out"
    run(*llm(model, cves, out))
    before, sent = {p.name: p.read_bytes() for p in out.glob("*.*")}, len(model.asked)
    (out / "card.json").unlink()
    said = run(*llm(model, cves, out)).stdout
    assert f"0 requests sent · {sent} answers from the journal" in said
    assert len(model.asked) == sent
    assert {p.name: p.read_bytes() for p in out.glob("*.*")} == before


def test_killed_and_resumed_pays_nothing_twice(model, cves, tmp_path):
    """The run is killed while its 21st request is open; that one alone is asked again."""
    out, whole = tmp_path / "out", tmp_path / "whole"
    command = list(map(str, ["synth", *llm(model, cves, out, "--workers", 1)]))
    reached, go = threading.Event(), threading.Event()

    def hold(body, text):
        if len(model.asked) == 21:
            reached.set()
            go.wait(30)
            return b""
        return text

    model.twist = hold
    process = subprocess.Popen(
        [sys.executable, "-m", "dragoman", *command], stderr=subprocess.PIPE, env={**os.environ}
    )
    assert reached.wait(60), process.communicate()[1]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    go.set()
    assert not (out / "card.json").exists()
    assert len(lines(out / "journal.jsonl")) == 20 == len(model.answered)

    model.twist = lambda body, text: text
    said = run(*llm(model, cves, out, "--workers", 1)).stdout
    assert "20 answers from the journal" in said
    assert len(set(model.answered)) == len(model.answered) == len(model.asked) - 1
    assert len(lines(out / "train.jsonl")) == 84
    whole.mkdir()
    (whole / "journal.jsonl").write_bytes((out / "journal.jsonl").read_bytes())
    run(*llm(model, cves, whole, "--workers", 1))
    for name in ("train.jsonl", "valid.jsonl", "test.jsonl", "card.json"):
        assert (whole / name).read_bytes() == (out / name).read_bytes()


def test_an_endpoint_that_refuses(model, cves, tmp_path):
    model.twist = lambda body, text: 401
    said = run(*llm(model, cves, tmp_path / "out", "--workers", 1), code=2).stderr
    assert "the endpoint says 401: said no" in said
    assert "0 requests sent" in said
    assert "check --base-url, --model and the key" in said
    assert len(model.asked) == 1


def test_an_endpoint_that_is_not_there(model, cves, tmp_path, monkeypatch):
    monkeypatch.setattr("dragoman.dataset.chat.RETRIES", 0)
    model.url = "http://127.0.0.1:9/v1"
    assert "no answer" in run(*llm(model, cves, tmp_path / "out"), code=3).stderr


def test_without_the_client(model, cves, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    said = run(*llm(model, cves, tmp_path / "out"), code=2).stderr
    assert "pip install 'dragoman[llm]'" in said


def test_the_classes_are_all_there(cves, tmp_path):
    run("--cves", cves, "-o", tmp_path / "out", "--per-class", 10, "--benign", 30)
    for split, benign in zip(SPLITS, (21, 3, 6), strict=True):
        labels = [row["label"] for row in lines(tmp_path / "out" / f"{split}.jsonl")]
        assert set(labels) == {*benchmark(), "benign"}
        assert labels.count("benign") == benign
