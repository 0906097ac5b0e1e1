"""The commands as a user runs them, over the shipped bundle."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from dragoman import Engine, __version__
from dragoman.cli import app
from dragoman.cli.options import default_intel
from dragoman.cli.scan import report
from dragoman.cli.show import failure, progress
from dragoman.errors import SourceError

ATTACK = "1' UNION SELECT username, password FROM users-- -"
BENIGN = ["blue running shoes", "winter sale", "jane@example.com", "sort=price", "about us"]


@pytest.fixture(autouse=True)
def _own_intelligence(tmp_path, monkeypatch):
    monkeypatch.setenv("DRAGOMAN_INTEL", str(tmp_path / "intel"))
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def values(tmp_path):
    path = tmp_path / "values.txt"
    path.write_text("\n".join([*BENIGN, ATTACK]) + "\n", "utf-8")
    return str(path)


@pytest.fixture
def clean(tmp_path):
    path = tmp_path / "clean.txt"
    path.write_text("\n".join(BENIGN) + "\n", "utf-8")
    return str(path)


def run(*args, stdin=None, code=0):
    """Run ``dragoman ARGS``; the result, once its exit code has been checked."""
    done = CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)
    assert done.exit_code == code, (done.output, done.exception)
    return done


def figures(text):
    """The counts a run printed: found, parsed, rejected, not covered."""
    line = re.search(r"([\d,]+) found · ([\d,]+) parsed · ([\d,]+) rejected · ([\d,]+) not", text)
    assert line, text
    return tuple(int(number.replace(",", "")) for number in line.groups())


# -- the frame ---------------------------------------------------------------------------------


def test_help_names_every_command_and_exit_code():
    text = run("--help").stdout
    commands = ["demo", "scan", "explain", "search", "intel", "train", "eval", "bench", "info"]
    assert all(re.search(rf"^  {name} ", text, re.M) for name in commands)
    assert all(re.search(rf"^    {code} ", text, re.M) for code in (0, 1, 2, 3, 4, 130, 141))


def test_help_is_quick():
    best = min(_seconds("--help") for _ in range(3))
    assert best < 0.5


def _seconds(*args):
    """Of a processor, which other work on the machine lengthens little."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "dragoman", *args], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def test_version():
    assert run("--version").stdout.strip() == f"dragoman {__version__}"


@pytest.mark.parametrize("args", [["scan"], ["scam", "x"], ["scan", "x", "--nope"], ["search"]])
def test_wrong_use_is_exit_2(args):
    assert "Usage" in run(*args, code=2).stderr


@pytest.mark.parametrize(
    ("platform", "environment", "tail"),
    [
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/dragoman/intel"),
        ("linux", {}, ".local/share/dragoman/intel"),
        ("darwin", {}, "Library/Application Support/dragoman/intel"),
        ("win32", {"LOCALAPPDATA": "/appdata"}, "/appdata/dragoman/intel"),
        ("linux", {"DRAGOMAN_INTEL": "/own", "XDG_DATA_HOME": "/data"}, "/own"),
    ],
)
def test_where_own_intelligence_is_kept(monkeypatch, platform, environment, tail):
    for name in ("DRAGOMAN_INTEL", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert default_intel().as_posix().endswith(tail)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_an_error_is_a_panel_that_evidence_cannot_steer(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    failure(SourceError("bad \x1b[2J[red]", where="a\nb.log:7", hint="mend it"), as_json=False)
    text = sys.stderr.getvalue()
    assert "╭─ error" in re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert r"bad \x1b[2J[red]" in text
    assert r"at a\nb.log:7" in text
    assert "mend it" in text


def test_on_a_terminal_training_shows_a_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress() as on_step:
        on_step("stage 1", 2, 4, 0.5)
    assert "stage 1 2/4 loss 0.5000" in sys.stderr.getvalue()


# -- scan --------------------------------------------------------------------------------------


def test_scan_prints_counts_and_a_table(values):
    text = run("scan", values, "--format", "lines").stdout
    found, parsed, rejected, _ = figures(text)
    assert (parsed, rejected) == (6, 0)
    assert found >= 1
    assert "sql-injection" in text
    assert "values.txt:6" in text


def test_scan_json_is_one_finding_a_line_and_counts_go_to_stderr(values):
    done = run("scan", values, "--format", "lines", "--json")
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(findings) == figures(done.stderr)[0] >= 1
    last = findings[-1]
    assert last["verdict"] == "sql-injection"
    assert last["where"]["line"] == 6
    assert last["score"] >= last["threshold"]
    assert last["evidence"]
    assert last["nearest"]


def test_scan_reads_standard_input(values):
    done = run("scan", "-", "--format", "lines", "--json", stdin=ATTACK + "\n")
    assert json.loads(done.stdout)["where"]["path"] == "-"


def test_on_a_terminal_a_scan_shows_how_far_it_is(values, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    engine = Engine.load()
    report(engine, (scan := engine.scan(values, format="lines")), scan.counts, source=values)
    assert "6 records" in sys.stderr.getvalue()


def test_scan_csv_to_stdout_and_to_a_file_agree(values, tmp_path):
    printed = run("scan", values, "--format", "lines", "--csv", "-")
    run("scan", values, "--format", "lines", "--csv", tmp_path / "out.csv")
    text = (tmp_path / "out.csv").read_bytes().decode()
    assert printed.stdout_bytes.decode() == text
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert rows[-1]["verdict"] == "sql-injection"
    assert rows[-1]["line"] == "6"


def test_scan_writes_every_output_in_one_pass(values, tmp_path):
    done = run("scan", values, "--format", "lines", "--json",
               "--csv", tmp_path / "f.csv", "--html", tmp_path / "f.html")  # fmt: skip
    found = figures(done.stderr)[0]
    assert len(done.stdout.splitlines()) == found
    with (tmp_path / "f.csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == found
    page = (tmp_path / "f.html").read_text("utf-8")
    assert "SQL injection" in page
    assert "UNION SELECT" in page


def test_json_and_csv_cannot_share_standard_output(values):
    done = run("scan", values, "--json", "--csv", "-", code=2)
    assert "standard output" in json.loads(done.stderr)["error"]


def test_an_output_that_cannot_be_written_is_exit_2(values, tmp_path):
    done = run("scan", values, "--format", "lines", "--csv", tmp_path / "no" / "f.csv", code=2)
    assert "cannot write" in done.stderr


def test_fail_on_finding(values, clean):
    run("scan", values, "--format", "lines", "--fail-on-finding", code=1)
    run("scan", clean, "--format", "lines", "--fail-on-finding", code=0)


def test_threshold_decides(values):
    everything = run("scan", values, "--format", "lines", "--threshold", 0, "--json")
    assert figures(everything.stderr)[:2] == (6, 6)
    nothing = run("scan", values, "--format", "lines", "--threshold", 1, "--json")
    assert figures(nothing.stderr)[:2] == (0, 6)


def test_limit_rows_cuts_the_table_not_the_count(values):
    text = run("scan", values, "--format", "lines", "--threshold", 0, "--limit-rows", 2).stdout
    assert figures(text)[0] == 6
    assert text.count("values.txt:") == 2
    assert "4 more" in text


BROKEN = '{"id": "a", "payload": "hello"}\nnot json\n{"id": "b", "payload": "world"}\n'


def test_rejected_records_are_counted_and_kept(tmp_path):
    (tmp_path / "rows.jsonl").write_text(BROKEN, "utf-8")
    text = run("scan", tmp_path / "rows.jsonl", "--rejects", tmp_path / "bad.jsonl").stdout
    assert figures(text)[1:3] == (2, 1)
    (bad,) = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text("utf-8").splitlines()]
    assert bad["where"]["line"] == 2
    assert bad["raw"] == "not json"


def test_strict_stops_at_the_first_bad_record(tmp_path):
    (tmp_path / "rows.jsonl").write_text(BROKEN, "utf-8")
    assert ":2" in run("scan", tmp_path / "rows.jsonl", "--strict", code=3).stderr


def test_nothing_parsed_is_exit_3(tmp_path):
    (tmp_path / "empty.txt").write_text("", "utf-8")
    run("scan", tmp_path / "empty.txt", "--format", "lines", code=3)
    done = run("scan", tmp_path / "none.log", "--json", code=3)
    assert json.loads(done.stderr.splitlines()[-1])["exit"] == 3


def test_an_unknown_format_is_exit_2(values):
    assert "lines" in run("scan", values, "--format", "linse", code=2).stderr


def test_settings_come_from_a_file_before_or_after_the_command(values, tmp_path):
    (tmp_path / "all.toml").write_text("[scan]\nthreshold = 0\n", "utf-8")
    for args in (["--config", tmp_path / "all.toml", "scan", values],
                 ["scan", values, "--config", tmp_path / "all.toml"]):  # fmt: skip
        assert figures(run(*args, "--format", "lines").stdout)[0] == 6


def test_a_wrong_setting_is_exit_2(values, tmp_path):
    (tmp_path / "bad.toml").write_text("[scan]\nthreshhold = 0\n", "utf-8")
    done = run("scan", values, "--config", tmp_path / "bad.toml", code=2)
    assert "did you mean scan.threshold?" in done.stderr


def test_a_foreign_bundle_is_exit_4(values, tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "model.onnx").write_bytes(b"not a model")
    done = run("scan", values, "--bundle", tmp_path / "bundle", "--json", code=4)
    assert json.loads(done.stderr)["exit"] == 4


def dragoman(*args, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "dragoman", *args],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more,
    )  # fmt: skip


def test_the_first_finding_comes_before_the_input_ends():
    with dragoman("scan", "-", "--format", "lines", "--json") as process:
        process.stdin.write((ATTACK + "\n") * 200)
        process.stdin.flush()  # and stays open
        assert json.loads(process.stdout.readline())["family"]
        process.communicate(timeout=60)


@pytest.fixture
def endless(tmp_path):
    """A scan whose findings do not fit into a pipe: it runs until somebody reads them."""
    path = tmp_path / "many.txt"
    path.write_text((ATTACK + "\n") * 4000, "utf-8")
    return ["scan", str(path), "--format", "lines", "--json", "--threshold", "0"]


@pytest.mark.skipif(os.name == "nt", reason="signals and pipes as POSIX has them")
def test_a_closed_pipe_ends_the_scan_quietly(endless):
    with dragoman(*endless) as process:
        process.stdout.readline()
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
        assert process.wait(30) == 141


@pytest.mark.skipif(os.name == "nt", reason="signals and pipes as POSIX has them")
def test_interrupt_says_what_was_seen_and_is_exit_130(endless):
    with dragoman(*endless, start_new_session=True) as process:
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: workers get it too
        _, errors = process.communicate(timeout=30)
        assert "Traceback" not in errors
        assert figures(errors)[0] >= 1
        assert process.returncode == 130


# -- the other commands ------------------------------------------------------------------------


def test_demo_finds_planted_attacks_and_writes_the_page(tmp_path):
    text = run("demo", "--html", tmp_path / "demo.html").stdout
    hit, planted = map(int, re.search(r"(\d+) of the (\d+) planted", text).groups())
    assert 0.8 * planted <= hit <= planted
    assert (tmp_path / "demo.html").read_text("utf-8").startswith("<!doctype html>")
    assert "dragoman scan" in text


@pytest.mark.parametrize("way", ["argument", "file", "stdin"])
def test_explain_reads_the_payload_each_way(tmp_path, way):
    (tmp_path / "p").write_text(ATTACK, "utf-8")
    args = {"argument": [ATTACK], "file": ["--file", tmp_path / "p"], "stdin": ["-"]}[way]
    out = json.loads(run("explain", *args, "--kind", "value", "--json", stdin=ATTACK).stdout)
    assert out["finding"]["verdict"] == "sql-injection"
    assert out["fields"]
    assert out["classes"][0]["id"]


def test_explain_shows_everything_as_text():
    request = f"GET /shop?id={ATTACK.replace(' ', '%20')} HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
    text = run("explain", "-", "--kind", "http", stdin=request).stdout
    assert "≥ threshold" in text
    assert "percent" in text
    assert "Threat class" in text
    assert "Nearest intelligence" in text


def test_explain_never_lets_evidence_steer_the_terminal():
    text = run("explain", "-", stdin=ATTACK + "\x1b]0;owned\x07 [bold]x[/bold]").stdout
    assert "\x1b" not in text
    assert "\x07" not in text


@pytest.mark.parametrize("args", [[], ["a", "--file", "b"]])
def test_explain_wants_one_payload(args):
    assert "one payload" in run("explain", *args, code=2).stderr


def test_explain_refuses_what_is_longer_than_the_limit(tmp_path):
    (tmp_path / "small.toml").write_text("[limits]\nrecord_bytes = 10\n", "utf-8")
    done = run("explain", "-", "--config", tmp_path / "small.toml", stdin="x" * 11, code=3)
    assert "limits.record_bytes" in done.stderr


def test_search():
    hits = json.loads(
        run("search", "database query built from user input", "-k", 3, "--json").stdout
    )
    assert len(hits) == 3
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    assert "Score" in run("search", "cross-site scripting").stdout


OWN = """# Theft of cloud credentials

A field that takes an address is pointed at the metadata service of the cloud, so that the server
fetches its own access keys and shows them to the sender.

- latest/meta-data/iam/security-credentials in a field that takes an address
"""


def test_own_class_is_added_listed_and_removed(tmp_path):
    (tmp_path / "cloud-credential-theft.md").write_text(OWN, "utf-8")
    added = json.loads(
        run("intel", "add", "--class", tmp_path / "cloud-credential-theft.md", "--json").stdout
    )
    assert [text["id"] for text in added] == ["class:cloud-credential-theft"]
    assert (
        "1 added" in run("intel", "add", "--class", tmp_path / "cloud-credential-theft.md").stdout
    )
    assert [text["kind"] for text in json.loads(run("intel", "list", "--json").stdout)] == ["class"]
    assert "Theft of cloud credentials" in run("intel", "list").stdout
    hits = json.loads(run("search", "access keys read from the metadata service", "--json").stdout)
    assert "class:cloud-credential-theft" in [hit["id"] for hit in hits]
    explained = json.loads(run("explain", ATTACK, "--json").stdout)
    assert "class:cloud-credential-theft" in [hit["id"] for hit in explained["classes"]]
    assert "1 removed" in run("intel", "remove", "class:cloud-credential-theft").stdout
    assert json.loads(run("intel", "list", "--json").stdout) == []


def test_removing_what_is_not_there_is_exit_4():
    assert "no such id" in run("intel", "remove", "CVE-1999-0000", code=4).stderr


def test_eval_payloads_writes_the_documented_figures(tmp_path):
    rows = [
        {"id": f"b{i}", "payload": text, "kind": "value", "label": "benign"}
        for i, text in enumerate(BENIGN)
    ] + [{"id": "a", "payload": ATTACK, "kind": "value", "label": "sql-injection"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    out = json.loads(run("eval", "payloads", tmp_path / "rows.jsonl", "--json", "-").stdout)
    documented = {"task", "n", "bundle", "classification", "detection", "retrieval", "speed"}
    assert documented <= out.keys()
    assert (out["task"], out["n"]) == ("payloads", 6)
    assert (out["detection"]["n_benign"], out["detection"]["n_attack"]) == (5, 1)
    assert out["retrieval"] is None
    text = run("eval", "payloads", tmp_path / "rows.jsonl", "--json", tmp_path / "out.json").stdout
    assert "balanced_accuracy" in text
    assert json.loads((tmp_path / "out.json").read_text("utf-8"))["n"] == 6


def test_bench_payloads(tmp_path):
    args = ["--requests", 200, "--repeats", 1, "--cores", 1, "--no-peer"]
    text = run("bench", "payloads", *args, "--json", tmp_path / "out.json").stdout
    assert "first finding of a small file" in text
    out = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert out["requests"] == 200
    assert out["requests_per_s"]["varied"]["median"] > 0


def test_info_says_what_is_loaded():
    out = json.loads(run("info", "--json").stdout)
    assert out["limits"]["record_bytes"] == 1 << 20
    assert "record_bytes: 1048576" in run("info").stdout


def test_training_without_torch_says_what_to_install(tmp_path):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no torch', name='torch')\n")
    with dragoman(
        "train", "base", "--data", str(tmp_path), "--out", str(tmp_path / "out"),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    ) as process:  # fmt: skip
        assert "pip install 'dragoman[train]'" in process.communicate(timeout=60)[1]
        assert process.returncode == 2
