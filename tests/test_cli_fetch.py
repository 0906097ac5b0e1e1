"""``intel add`` of addresses, against a server that really speaks HTTP; and ATT&CK end to end."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from dragoman.cli import app, fetch

BUNDLE = {
    "type": "bundle",
    "id": "bundle--1",
    "objects": [
        {
            "type": "attack-pattern",
            "id": "attack-pattern--1",
            "name": "Weeding",
            "description": "The intruder pulls weeds out of the garden at night with a spade.",
            "modified": "2030-01-01T00:00:00Z",
            "kill_chain_phases": [{"kill_chain_name": "mitre-attack", "phase_name": "impact"}],
            "external_references": [{"source_name": "mitre-attack", "external_id": "T9001"}],
        },
        {
            "type": "intrusion-set",
            "id": "intrusion-set--1",
            "name": "Gardeners",
            "description": "A group.",
            "external_references": [{"source_name": "mitre-attack", "external_id": "G9001"}],
        },
        {
            "type": "relationship",
            "id": "relationship--1",
            "relationship_type": "uses",
            "source_ref": "intrusion-set--1",
            "target_ref": "attack-pattern--1",
            "description": "Gardeners weeded the lawn of the town hall.",
        },
        {"type": "course-of-action", "id": "course-of-action--1", "name": "Fence"},
    ],
}
DATA = json.dumps(BUNDLE).encode()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/enterprise-attack.json")
        elif self.path.startswith("/away"):
            self.send_response(302)
            self.send_header("Location", self.path.partition("?")[2])
        elif self.path.endswith(".json"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(DATA) + 10 * ("short" in self.path)))
        else:
            self.send_response(404)
        self.end_headers()
        if self.path.endswith(".json"):
            self.wfile.write(DATA)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _own_intelligence(tmp_path, monkeypatch):
    monkeypatch.setenv("DRAGOMAN_INTEL", str(tmp_path / "intel"))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("no_proxy", "*")


def run(*args, code=0):
    done = CliRunner().invoke(app, [str(arg) for arg in args])
    assert done.exit_code == code, (done.output, done.exception)
    return done


def test_attack_is_added_from_an_address_found_and_removed(server):
    done = run("intel", "add", f"{server}/moved")
    assert "3 added · 1 rejected" in done.stdout
    assert "course-of-action" in done.stderr
    listed = json.loads(run("intel", "list", "--json").stdout)
    assert {t["id"]: t["kind"] for t in listed} == {
        "G9001": "group",
        "T9001": "technique",
        "T9001/G9001": "procedure",
    }
    assert "1 technique" in run("intel", "list").stdout
    hits = json.loads(run("search", "weeds pulled out of a garden with a spade", "--json").stdout)
    assert hits[0]["id"] == "T9001"
    assert hits[0]["source"] == "enterprise-attack 2030-01-01"
    assert "2 removed" in run("intel", "remove", "T9001*").stdout
    assert [t["id"] for t in json.loads(run("intel", "list", "--json").stdout)] == ["G9001"]


def test_many_texts_are_summed_up(tmp_path):
    path = tmp_path / "cves.jsonl"
    rows = [{"cve": f"CVE-2031-{1000 + i}", "description": f"Fault {i}."} for i in range(60)]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    out = run("intel", "add", path).stdout
    assert "60 added" in out
    assert "CVE-2031-1000" not in out
    assert "cve" in out


def test_only_https_or_this_machine(server):
    for url in ("http://example.org/a.json", "ftp://example.org/a", "file:///etc/hostname"):
        assert "only https://" in run("intel", "add", url, code=2).stderr
    away = f"{server}/away?"
    for url in ("http://example.org/a.json", "ftp://example.org/a"):
        assert "only https://" in run("intel", "add", away + url, code=2).stderr
    assert "not allowed" in run("intel", "add", f"{away}file:///etc/hostname", code=3).stderr


def test_downloads_that_fail(server, tmp_path, monkeypatch):
    assert "Not Found" in run("intel", "add", f"{server}/none", code=3).stderr
    assert "cut short" in run("intel", "add", f"{server}/short.json", code=3).stderr
    assert "cannot be downloaded" in run("intel", "add", "http://127.0.0.1:9/a", code=3).stderr
    small = tmp_path / "small.toml"
    small.write_text("[limits]\ndocument_bytes = 100\n", "utf-8")
    done = run("intel", "add", f"{server}/a.json", "--config", small, code=3)
    assert "limits.document_bytes" in done.stderr
    monkeypatch.setattr(fetch, "SECONDS", -1)
    assert "not complete after" in run("intel", "add", f"{server}/a.json", code=3).stderr
