"""Payloads by a language model: a real endpoint on this machine, which may misbehave."""

import json
import threading

import pytest

from llm_server import Model, records, serving, write_records

pytest.importorskip("openai", reason="openai is missing: pip install 'dragoman[llm]'")

from dragoman.dataset.build import build
from dragoman.dataset.chat import Chat
from dragoman.dataset.journal import Journal
from dragoman.dataset.model import FromModel
from dragoman.duplicates import decoded
from dragoman.errors import SourceError, UsageError

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture
def model():
    with serving(Model()) as model:
        yield model


@pytest.fixture
def cves(tmp_path):
    return write_records(tmp_path / "cves.jsonl", records())


@pytest.fixture
def chat(model, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    return Chat(model.url, "m", "", Journal(out / "journal.jsonl"), workers=2)


def made(chat, cves, tmp_path, per_class=10):
    card = build([cves], tmp_path / "out", per_class=per_class, generator=FromModel(chat, 0))
    return card, lines(tmp_path / "out" / "rejected.jsonl")


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def once(model, want, give):
    """The first answer whose request ``want`` accepts is replaced by ``give(text)``."""
    done = threading.Lock()

    def twist(body, text):
        if want(body) and done.acquire(blocking=False):
            return give(text)
        return text

    model.twist = twist


def writes(body):
    return "The kind of weakness" in body


def judges(body):
    return "Here are" in body


def entries(*values):
    return json.dumps({"payloads": [{"value": v, "where": "query", "param": "id"} for v in values]})


def test_each_row_has_the_cve_that_was_asked_about(model, chat, cves, tmp_path):
    made(chat, cves, tmp_path)
    rows = [r for name in ("train", "valid", "test") for r in lines(tmp_path / f"out/{name}.jsonl")]
    asked = [json.loads(body)["messages"][1]["content"] for body in model.asked]
    for row in rows:
        assert row["label"] == "benign" or any(json.dumps(row["text"]) in text for text in asked)


def test_sides_have_prompt_variants_of_their_own(chat, cves, tmp_path):
    card, _ = made(chat, cves, tmp_path, per_class=30)
    sides = card["generator"]["variants"]
    for name, of in sides.items():
        groups = {r["group"] for r in lines(tmp_path / f"out/{name}.jsonl") if "cve" in r}
        assert {g.split("/", 1)[1] for g in groups} <= {f"m/{variant}" for variant in of}
    assert len({v for of in sides.values() for v in of}) == sum(map(len, sides.values()))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("I would rather not.", "answer: no JSON object in the answer"),
        ('{"payloads": {}}', 'answer: no list "payloads" in the answer'),
        ('{"payloads": [{"where": "query"}]}', "answer: an entry without a value"),
        (entries("x" * 5000), "answer: longer than 4096 bytes"),
        (entries("'; DROP TABLE orders--"), "destructive: 'drop table'"),
        (entries("<b>XSS</b>"), "names what it is: 'xss'"),
        (
            entries("%68ttp%3A%2F%2Fsample-host.com"),
            "a host or address that is not reserved: 'sample-host.com'",
        ),
        (entries("just words"), "second reading: none"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_kept_with_the_reason(model, chat, cves, tmp_path, given, reason):
    once(model, writes, lambda text: given)
    card, rejected = made(chat, cves, tmp_path)
    of_class = [r for r in rejected if r["label"] == "cross-site-scripting"]
    row = next(r for r in of_class if r["reason"] == reason)
    assert row["group"].startswith("cross-site-scripting/m/")
    assert row["cve"][0].startswith("CVE-20")
    assert row["payload"]
    assert card["rejected"][reason.partition(":")[0]] >= 1
    assert all(sum(by.values()) == 10 for by in card["rows"].values())


def test_a_value_of_another_class_is_rejected(model, chat, cves, tmp_path):
    def other(text):
        return json.dumps({"classes": ["sql-injection", *json.loads(text)["classes"][1:]]})

    once(model, judges, other)
    _, rejected = made(chat, cves, tmp_path)
    assert [r["label"] for r in rejected if r["reason"] == "second reading: sql-injection"] == [
        "cross-site-scripting"
    ]


def test_a_second_reading_that_fails_costs_its_values(model, chat, cves, tmp_path):
    once(model, judges, lambda text: '{"classes": []}')
    _, rejected = made(chat, cves, tmp_path)
    failed = [r for r in rejected if r["reason"].startswith("second reading: no list")]
    assert 1 <= len(failed) <= 4
    assert len({r["cve"][0] for r in failed}) == 1


def test_the_same_value_again_is_rejected(model, chat, cves, tmp_path):
    seen = []

    def repeat(body, text):
        if writes(body) and "SQL" in body:
            seen.append(text)
            return seen[0] if len(seen) <= 2 else text
        return text

    model.twist = repeat
    _, rejected = made(chat, cves, tmp_path)
    reasons = [(r["label"], r["reason"]) for r in rejected]
    assert ("sql-injection", "near-duplicate of a payload taken") in reasons


def test_hosts_of_others_are_replaced(model, chat, cves, tmp_path):
    value = "<script src=//cdn.sample-host.com/a.js></script>"

    def twist(body, text):
        if writes(body):
            return entries(value) if len(model.answered) == 1 else text
        return text.replace('"none"', '"cross-site-scripting"')

    model.twist = twist
    made(chat, cves, tmp_path)
    rows = [
        row for name in ("train", "valid", "test") for row in lines(tmp_path / f"out/{name}.jsonl")
    ]
    values = [decoded(row["payload"].encode()) for row in rows if "payload" in row]
    assert not any("sample-host" in value for value in values)
    assert any("/a.js" in value for value in values)


def test_busy_and_broken_answers_are_tried_again(model, chat, cves, tmp_path):
    calls = {"n": 0}

    def busy(body, text):
        calls["n"] += 1
        return {1: 429, 2: 429, 3: 503}.get(calls["n"], text)

    model.twist = busy
    card, _ = made(chat, cves, tmp_path)
    assert len(model.asked) == chat.asked + 3
    assert card["generator"]["answers"] == chat.asked == len(model.answered)


def test_tokens_are_counted_once_an_answer(model, chat):
    assert chat.ask([HELLO, HELLO]) == [*chat.ask([HELLO]), "Hello."]
    assert len(model.asked) == 1
    assert (chat.tokens, chat.answers, chat.asked) == ((100, 20), 1, 1)


def test_answers_come_in_the_order_of_the_requests(model, chat):
    model.twist = lambda body, text: json.loads(body)["messages"][0]["content"]
    requests = [[{"role": "user", "content": str(n)}] for n in range(12)]
    assert chat.ask(requests) == [str(n) for n in range(12)]


def test_what_was_answered_before_a_failure_is_kept(model, chat, monkeypatch):
    monkeypatch.setattr(chat._client, "max_retries", 0)
    model.twist = lambda body, text: 500 if "bad" in body else "good"
    with pytest.raises(SourceError, match="the endpoint says 500: said no") as caught:
        chat.ask([[{"role": "user", "content": c}] for c in ("bad", "a", "b", "c")])
    assert "in the journal" in str(caught.value)
    assert len(model.answered) == 3
    model.twist = lambda body, text: "good now"
    assert chat.ask([[{"role": "user", "content": c}] for c in ("bad", "a")]) == [
        "good now",
        "good",
    ]
    assert len(model.answered) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_refusals_are_not_repeated(model, chat, status):
    model.twist = lambda body, text: status
    with pytest.raises(UsageError, match=f"the endpoint says {status}"):
        chat.ask([HELLO])
    assert len(model.asked) == 1


@pytest.mark.parametrize(
    "data", [b"<html>hello</html>", b"{}", b"[]", b'{"choices": []}', b'{"choices": [{}]}', b"7"]
)
def test_an_endpoint_that_speaks_something_else(model, chat, monkeypatch, data):
    monkeypatch.setattr(chat._client, "max_retries", 0)
    model.twist = lambda body, text: data
    with pytest.raises(SourceError, match=r"no chat completion|no answer"):
        chat.ask([HELLO])


def test_a_model_that_never_does_what_it_is_asked(model, chat, cves, tmp_path):
    model.twist = lambda body, text: "No."
    with pytest.raises(SourceError, match="ended after 0 of 7 payloads of cross-site-scripting"):
        made(chat, cves, tmp_path)
    assert len(model.asked) == 4 * 2 + 4
    assert len(lines(tmp_path / "out" / "rejected.jsonl")) == len(model.asked)
