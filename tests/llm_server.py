"""CVE records of our own, and an endpoint that really speaks chat completions over HTTP."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dragoman.intel import benchmark, builtin
from dragoman.synth import generate

CWE = {
    "cross-site-scripting": "CWE-80",
    "sql-injection": "CWE-89",
    "path-traversal": "CWE-23",
    "command-injection": "CWE-78",
    "code-injection": "CWE-1336",
    "server-side-request-forgery": "CWE-918",
    "open-redirect": "CWE-601",
    "xml-external-entity": "CWE-611",
    "unsafe-deserialization": "CWE-502",
    "file-upload": "CWE-434",
    "crlf-injection": "CWE-113",
}
_PARTS = ("search page", "export form", "profile view", "login screen", "report list", "mail tool")


def records(per_class: int = 6, *, but: str = "") -> list[dict[str, Any]]:
    """Invented vulnerabilities, ``per_class`` of each class; only two of the class ``but``."""
    out = []
    for number, (slug, cwe) in enumerate(CWE.items()):
        for i in range(2 if slug == but else per_class):
            part, maker = _PARTS[i % len(_PARTS)], "abcdefghijklmnopqrstuvwxyz"[i // len(_PARTS)]
            text = f"The {part} of Sample Shop {maker} trusts its input ({slug[::-1]})."
            id = f"CVE-20{10 + i % 15}-{90000 + 100 * number + i}"
            out.append({"cve": id, "cwe": [cwe], "description": text})
    return out


def write_records(path: Any, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


class Model:
    """Answers like a model would: with payloads of the grammars, and with their true classes.

    ``asked`` are the bodies of all requests; ``answered`` those that got an answer. Whatever
    ``twist(body, text)`` returns is sent instead: a text, an HTTP status, or bytes as they are.
    """

    def __init__(self) -> None:
        titles = {t.title: t.slug for t in builtin() if t.slug in benchmark()}
        self._titles = titles
        self._values = {slug: _texts(slug) for slug in benchmark()}
        self._class: dict[str, str] = {}
        self._lock = threading.Lock()
        self.asked: list[str] = []
        self.answered: list[str] = []
        self.keys: list[str | None] = []
        self.twist: Callable[[str, str], str | int | bytes] = lambda body, text: text
        self.url = ""

    def reply(self, body: str) -> str | int | bytes:
        with self._lock:
            self.asked.append(body)
            prompt = json.loads(body)["messages"][-1]["content"]
            text = self._judged(prompt) if "Here are" in prompt else self._written(prompt)
        return self.twist(body, text)

    def _written(self, prompt: str) -> str:
        found = re.search(r"The kind of weakness: (.*)\.\n", prompt)
        if not found:
            return "Hello."
        slug = self._titles[found[1]]
        entries = []
        for _ in range(4):
            value, where, params = next(self._values[slug])
            self._class[value] = slug
            entries.append({"value": value, "where": where, "param": params})
        return json.dumps({"payloads": entries})

    def _judged(self, prompt: str) -> str:
        values = json.loads(re.search(r"^(\[.*\])$", prompt, re.M)[1])
        return json.dumps({"classes": [self._class.get(value, "none") for value in values]})


def _texts(slug: str):
    for sample in generate(slug, 100_000, 5):
        try:
            text = sample.payload.decode()
        except UnicodeDecodeError:
            continue
        if sample.kind == "value" and text.strip() and len(text) < 2000:
            yield text, *(("multipart", "") if slug == "file-upload" else ("query", "id"))


@contextmanager
def serving(model: Model):
    """The model behind ``model.url`` on this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # one packet an answer: nobody waits for an acknowledgement

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            model.keys.append(self.headers["Authorization"])
            answer = model.reply(body) if self.path == "/v1/chat/completions" else 404
            status, data = 200, b""
            if isinstance(answer, int):
                status, data = answer, json.dumps({"error": {"message": "said no"}}).encode()
            elif isinstance(answer, str):
                model.answered.append(body)
                data = json.dumps(_completion(answer, json.loads(body))).encode()
            else:
                data = answer
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.send_header("retry-after-ms", "1")
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                return

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    model.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()


def _completion(text: str, request: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": request["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }
