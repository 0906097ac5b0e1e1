"""The benchmark as a whole: balanced, split by CVE and template, the same for a seed, readable."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman import corpus, recipe
from dragoman.dataset import build as module
from dragoman.dataset.build import build
from dragoman.dataset.grammar import Draft, FromGrammar
from dragoman.duplicates import fold_key
from dragoman.engine import Engine
from dragoman.errors import SourceError, UsageError
from dragoman.intel import benchmark
from dragoman.records import Labelled
from dragoman.sources.labelled import read_labelled
from dragoman.synth import Sample
from llm_server import records, write_records

SPLITS = ("train", "valid", "test")
SIZE = 60


@pytest.fixture(scope="module")
def cves(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("cves") / "cves.jsonl", records(15))


@pytest.fixture(scope="module")
def made(cves, tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    return out, build([cves], out, per_class=SIZE, seed=3)


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def splits(out):
    return {name: lines(out / f"{name}.jsonl") for name in SPLITS}


def test_every_class_has_its_rows(made):
    for name, size in zip(SPLITS, (42, 6, 12), strict=True):
        labels = Counter(row["label"] for row in splits(made[0])[name])
        assert labels == dict.fromkeys((*benchmark(), "benign"), size)


def test_no_cve_no_template_and_no_payload_is_on_two_sides(made):
    rows = splits(made[0])
    for of in (
        lambda r: r.get("cve", []),
        lambda r: [r["text"]] if "text" in r else [],
        lambda r: [r["group"]],
        lambda r: [fold_key(r["payload"])] if "payload" in r else [],
        lambda r: [r["id"]],
    ):
        train, valid, test = ({v for r in rows[name] for v in of(r)} for name in SPLITS)
        assert all((train, valid, test))
        assert not any((train & valid, train & test, valid & test))


def test_no_payload_comes_twice(made):
    keys = Counter(
        fold_key(r["payload"]) for rows in splits(made[0]).values() for r in rows if "payload" in r
    )
    assert max(keys.values()) == 1


def test_rows_have_the_documented_keys(made):
    for rows in splits(made[0]).values():
        for row in rows:
            payload = "payload" if "payload" in row else "payload_b64"
            about = [] if row["label"] == "benign" else ["cve", "cwe", "year", "text"]
            assert list(row) == ["id", payload, "kind", "label", "group", *about]
            assert row["group"].startswith(row["label"] + "/")
            assert not about or row["year"] == int(row["cve"][0][4:8])


def test_a_cve_is_used_again_only_once_all_were_used(made):
    for name in SPLITS:
        for slug in benchmark():
            rows = [r for r in splits(made[0])[name] if r["label"] == slug]
            uses = Counter(r["cve"][0] for r in rows).values()
            assert max(uses) - min(uses) <= 1
            assert all(slug[::-1] in row["text"] for row in rows)


def test_values_and_whole_requests(made):
    rows = [row for rows in splits(made[0]).values() for row in rows]
    for slug in (*benchmark(), "benign"):
        whole = sum(row["kind"] == "http" for row in rows if row["label"] == slug)
        assert 0.25 * SIZE < whole < 0.9 * SIZE
    requests = [row["payload"] for row in rows if row["kind"] == "http" and "payload" in row]
    assert all(" HTTP/" in text.split("\r\n", 1)[0] for text in requests)


def test_the_card_counts_what_is_there(made):
    out, card = made
    assert card == json.loads((out / "card.json").read_text())
    rows = splits(out)
    for slug in (*benchmark(), "benign"):
        for name in SPLITS:
            of = [r for r in rows[name] if r["label"] == slug]
            assert card["rows"][slug][name] == len(of)
            assert card["templates"][slug][name] == len({r["group"] for r in of})
    assert card["cves"]["sql-injection"] == {"used": 15, "reused": 15, "most": 5}
    assert card["input"]["cves"] == dict.fromkeys(benchmark(), 15)
    assert (card["seed"], card["generator"]) == (3, {"name": "grammar"})
    assert sum(card["rejected"].values()) == len(lines(out / "rejected.jsonl"))


def test_rejected_payloads_keep_their_reason(made):
    rejected = lines(made[0] / "rejected.jsonl")
    assert rejected
    for row in rejected:
        assert row["reason"]
        assert "payload" in row or "payload_b64" in row


def test_the_readme_has_a_line_for_every_class(made):
    text = (made[0] / "README.md").read_text()
    assert "| crlf-injection | 42 | 6 | 12 | " in text
    assert "720 rows" in text
    assert "inert samples" in text


def test_the_same_seed_gives_the_same_bytes(cves, made, tmp_path):
    build([cves], tmp_path / "again", per_class=SIZE, seed=3)
    files = sorted(p.relative_to(made[0]) for p in made[0].rglob("*") if p.is_file())
    assert len(files) == 7
    for name in files:
        assert (tmp_path / "again" / name).read_bytes() == (made[0] / name).read_bytes()


def test_another_seed_gives_other_rows(cves, made, tmp_path):
    build([cves], tmp_path, per_class=10, seed=4)
    build([cves], tmp_path / "b", per_class=10, seed=5)
    assert (tmp_path / "train.jsonl").read_bytes() != (tmp_path / "b/train.jsonl").read_bytes()


def test_the_order_of_the_input_does_not_matter(made, tmp_path):
    cves = write_records(tmp_path / "turned.jsonl", records(15)[::-1])
    build([cves], tmp_path / "out", per_class=SIZE, seed=3)
    for name in SPLITS:
        path = f"{name}.jsonl"
        assert (tmp_path / "out" / path).read_bytes() == (made[0] / path).read_bytes()


def test_training_reads_it(made):
    corpus_ = corpus.load(
        recipe.Recipe("x", grammar=recipe.Grammar(per_class=0)), made[0], seed=1, limit=None
    )
    counts = corpus_.counts
    assert (counts["train"], counts["valid"]) == (12 * 42, 12 * 6)
    assert "train rejected" not in counts
    assert len(corpus_.described) == counts["texts"] == len(lines(made[0] / "texts/cves.jsonl"))
    rows = splits(made[0])
    held_out = {cve for r in rows["valid"] + rows["test"] for cve in r.get("cve", ())}
    assert held_out.isdisjoint(t.id for t in corpus_.described)
    assert set(corpus_.train.labels.tolist()) == set(range(-1, 11))


def test_eval_reads_it(made, bundle_path):
    report = Engine.load(bundle_path).evaluate([str(made[0] / "test.jsonl")])
    assert (report["n"], report["rejected"]) == (144, 0)
    assert report["classification"]["n"] == 132
    assert (report["detection"]["n_attack"], report["detection"]["n_benign"]) == (132, 12)


def test_every_row_can_be_read(made):
    for name in SPLITS:
        rows = list(read_labelled(str(made[0] / f"{name}.jsonl")))
        assert all(isinstance(row, Labelled) for row in rows)


def test_progress(cves, tmp_path):
    steps = []
    build([cves], tmp_path, per_class=10, on_step=lambda *step: steps.append(step))
    assert [s for s in steps if s[0] == "benign"] == [("benign", n, 10) for n in range(1, 11)]
    assert len(steps) == 120


@pytest.mark.parametrize("sizes", [{"per_class": 9}, {"per_class": 10, "benign": 9}])
def test_too_few_rows(cves, tmp_path, sizes):
    with pytest.raises(UsageError, match="at least 10 rows"):
        build([cves], tmp_path, **sizes)


def test_a_directory_of_something_else(cves, tmp_path):
    (tmp_path / "train-other.jsonl").write_text("")
    with pytest.raises(UsageError, match=r"holds other files: train-other\.jsonl"):
        build([cves], tmp_path, per_class=10)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write here"):
        build([cves], tmp_path / "file", per_class=10)


class Few(FromGrammar):
    """A generator that has only seven payloads of each class and side, the first one twice."""

    def start(self, slug, side, cves, reject):
        more = super().start(slug, side, cves, reject)
        drafts = more(7)
        drafts = [*drafts[:1], *drafts]
        return lambda wanted: [drafts.pop(0) for _ in range(min(wanted, len(drafts)))]


def test_a_generator_that_ends_early(cves, tmp_path):
    with pytest.raises(SourceError, match="ended after 7 of 14 payloads of cross-site-scripting"):
        build([cves], tmp_path, per_class=20, generator=Few(0))
    reasons = {r["reason"] for r in lines(tmp_path / "rejected.jsonl")}
    assert "near-duplicate of a payload taken" in reasons
    assert not (tmp_path / "card.json").exists()
    build([cves], tmp_path, per_class=20)
    assert (tmp_path / "card.json").exists()


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=300), st.sampled_from(benchmark()), st.integers())
def test_any_payload_becomes_a_readable_row_or_is_rejected(data, slug, seed):
    book = module._Book()
    row = module._row(book, Draft(Sample(data, slug, "any/plain")), module.Random(seed))
    assert (row is None) == bool(book.rejected)
    for written in (row, *book.rejected):
        if written:
            assert json.loads(json.dumps(written)) == written
