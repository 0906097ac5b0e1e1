"""Training, really done: small, on a CPU, from rows and texts written for the purpose."""

import json
import random

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is missing: pip install 'dragoman[train]'")

import torch
from descriptions import DESCRIPTIONS, records

from dragoman import Engine
from dragoman.bundle import DIM, load
from dragoman.config import Config, Limits, Scan
from dragoman.corpus import Instances
from dragoman.encode import TextEncoder
from dragoman.errors import SourceError, UsageError
from dragoman.features import Grams
from dragoman.intel.threats import benchmark
from dragoman.model import checkpoint, stage2
from dragoman.model.payload import HashedTower
from dragoman.model.text import embed, load_minilm
from dragoman.model.train import run
from dragoman.records import Payload, Where
from dragoman.synth.grammar import generate
from dragoman.synth.grammar import load as grammar
from dragoman.synth.request import benign_request
from dragoman.synth.request import embed as in_request

pytestmark = pytest.mark.train

BASE = """
name = "small"
[stage1]
loss = "multi-positive"
frozen = 4
length = 48
steps = 40
batch = 48
rate = 1e-4
keep = 0.5
[stage2]
steps = 200
attacks = 64
benign = 64
bits = 14
width = 48
hidden = 96
[grammar]
per_class = 0
[calibration]
fpr = 0.05
[index]
cves = 100
"""
SALM = """
name = "small-salm"
[stage1]
loss = "triplet"
frozen = 5
length = 24
per_class = 4
steps = 2
batch = 8
keep = 0
[stage2]
tower = "language-model"
softmax = 0
detection = 0
steps = 2
attacks = 4
benign = 0
[grammar]
per_class = 0
[index]
cves = 10
quantize = false
"""


def templates(slug, held_out):
    every = sorted(grammar(slug).templates)
    return [t for i, t in enumerate(every) if (i % 4 == 0) is held_out]


def rows(count, benign, seed, held_out):
    """Labelled rows: attacks of every benchmark class, half in whole requests, and benign ones."""
    rng = random.Random(seed)
    for slug in benchmark():
        for sample in generate(slug, count, seed, templates=templates(slug, held_out)):
            whole = sample.kind == "http" or rng.random() < 0.5
            data = in_request(sample, rng) if whole else sample.payload
            yield {"payload": data, "kind": "http" if whole else "value", "label": slug}
    for _ in range(benign):
        yield {"payload": benign_request(rng), "kind": "http", "label": "benign"}
    for sample in generate("benign", benign, seed):
        if sample.kind == "value":
            yield {"payload": sample.payload, "kind": "value", "label": "benign"}


def write(path, items):
    import base64

    with path.open("w") as file:
        for number, row in enumerate(items):
            data = base64.b64encode(row["payload"]).decode()
            row = {k: v for k, v in row.items() if k != "payload"}
            file.write(json.dumps({"id": str(number), "payload_b64": data, **row}) + "\n")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A training directory as `docs/training.md` describes it."""
    folder = tmp_path_factory.mktemp("data")
    write(folder / "train.jsonl", rows(60, 200, 1, False))
    write(folder / "valid.jsonl", rows(8, 150, 2, True))
    (folder / "texts").mkdir()
    lines = [json.dumps(record) for record in records()]
    (folder / "texts" / "cve.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run of the base recipe, small: its directory and its card."""
    out = tmp_path_factory.mktemp("run")
    (out / "base.toml").write_text(BASE)
    steps = []
    card = run(str(out / "base.toml"), data, out / "run", on_step=lambda *step: steps.append(step))
    assert [s[:3] for s in steps if s[0] == "text tower"] == [
        ("text tower", i + 1, 40) for i in range(40)
    ]
    return out / "run", card


def losses(run_folder, stage):
    lines = (run_folder / "log.jsonl").read_text().splitlines()
    return [row["loss"] for row in map(json.loads, lines) if row["stage"] == stage]


@pytest.fixture(scope="module")
def held_out():
    """Payloads of templates that no training row was made from."""
    return [
        (slug, Payload("x", s.payload, "value", Where("t")))
        for slug in benchmark()
        for s in generate(slug, 12, 99, templates=templates(slug, True))
        if s.kind == "value"
    ]


def test_alignment_lowers_the_loss_of_both_stages(trained):
    for stage, logged in (("text tower", 4), ("payload tower", 20)):
        values = losses(trained[0], stage)
        assert len(values) == logged
        assert np.mean(values[-2:]) < 0.9 * values[0]


def test_held_out_descriptions_find_their_threat_more_often(trained):
    figures = trained[1]["text_tower"]
    assert figures["held_out_after"] > figures["held_out_before"] + 0.03


def test_held_out_payloads_find_their_class_far_more_often(trained, held_out):
    bundle = load(trained[0] / "bundle")
    slugs = [c.slug for c in bundle.classes]
    engine = Engine.load(trained[0] / "bundle")
    numbers = {c.id: c.slug for c in bundle.classes}

    def nearest(payload):
        hits = engine.explain(payload.data, kind="value").classes
        return next((numbers[h.id] for h in hits if numbers[h.id] in benchmark()), None)

    after = np.mean([nearest(p) == slug for slug, p in held_out])

    torch.manual_seed(1)
    instances = Instances(Grams(bits=14), Limits())
    bags = [instances.bag(p) for _, p in held_out]
    kept = [i for i, bag in enumerate(bags) if len(bag)]
    instances.finish()
    anchors = torch.from_numpy(
        np.stack([bundle.class_vectors[slugs.index(slug)] for slug in benchmark()])
    )
    untrained = stage2.Model(HashedTower(14, 48, 96), anchors, False)
    vectors, _ = stage2.predict(untrained, instances, [bags[i] for i in kept])
    guesses = (vectors @ anchors.T).argmax(1).tolist()
    right = [benchmark()[g] == held_out[i][0] for g, i in zip(guesses, kept, strict=True)]
    before = np.mean(right)
    assert before < 0.3
    assert after > 0.6


def test_the_card_names_what_was_done(trained):
    card = trained[1]
    assert card["recipe"] == "small"
    assert card["rows"]["train"] > 600
    assert card["rows"]["texts"] == sum(map(len, DESCRIPTIONS.values()))
    assert card["validation"]["n"] > 200
    assert 0 < card["threshold"] <= 1
    assert card == json.loads((trained[0] / "bundle" / "bundle.json").read_text())["card"]
    assert "threshold" in (trained[0] / "bundle" / "MODEL_CARD.md").read_text()


def test_the_bundle_scans(trained, tmp_path):
    attack = "1' UNION SELECT username, password FROM users-- -"
    values = ["blue running shoes", attack, "winter sale"]
    requests = tmp_path / "values.txt"
    requests.write_text("\n".join(values) + "\n")
    bundle = trained[0] / "bundle"
    scores = [Engine.load(bundle).explain(value).score for value in values]
    assert scores[1] == max(scores) > 0.5
    config = Config(scan=Scan(threshold=scores[1]))  # this small a model sets no threshold to trust
    findings = list(Engine.load(bundle, config=config).scan(requests, format="lines"))
    assert [f.where.line for f in findings] == [2]
    assert findings[0].verdict in {"sql-injection", "unknown"}


def test_the_int8_text_tower_is_close_to_the_float_one(trained):
    """The tower as trained, from its checkpoint, and as the bundle runs it."""
    tower, tokenizer = load_minilm()
    trained_layers = torch.optim.AdamW(tower.layers[4:].parameters())
    assert checkpoint.load(trained[0] / "stage1.safetensors", tower, [trained_layers]) == 40
    texts = [t for group in DESCRIPTIONS.values() for t in group[:2]]
    theirs = embed(tower, tokenizer, texts).numpy()
    ours = TextEncoder(trained[0] / "bundle", np.zeros(DIM, np.float32)).encode(texts)
    assert (ours * theirs).sum(1).mean() > 0.97


def test_a_run_is_not_overwritten(trained, data):
    with pytest.raises(UsageError, match="holds a run"):
        run("salm", data, trained[0])


def test_a_recipe_like_the_paper_runs_through(data, tmp_path):
    (tmp_path / "salm.toml").write_text(SALM)
    card = run(str(tmp_path / "salm.toml"), data, tmp_path / "run", limit=60)
    bundle = load(tmp_path / "run" / "bundle")
    assert bundle.tower == "language-model"
    assert losses(tmp_path / "run", "payload tower")
    engine = Engine.load(tmp_path / "run" / "bundle")
    seen = engine.explain(b"1' union select null-- -")
    assert 0 < seen.score < 1
    # scored by the nearest anchor it was pulled onto: 10 cos - 5, int8 on this side
    best = max(h.score for h in seen.classes if h.id.removeprefix("class:") in benchmark())
    assert np.log(seen.score / (1 - seen.score)) == pytest.approx(10 * best - 5, abs=0.3)
    assert card["threshold"] == bundle.threshold


@pytest.mark.parametrize("missing", ["train", "valid", "attacks", "benign"])
def test_a_directory_that_lacks_rows_is_refused(tmp_path, missing):
    attack = {
        "payload": b"<script>alert(1)</script>",
        "kind": "value",
        "label": "cross-site-scripting",
    }
    benign = {"payload": b"a <3 b; c", "kind": "value", "label": "benign"}
    both = [r for r, name in ((attack, "attacks"), (benign, "benign")) if name != missing]
    for name in {"train", "valid"} - {missing}:
        write(tmp_path / f"{name}.jsonl", both)
    (tmp_path / "r.toml").write_text(BASE)
    with pytest.raises(SourceError, match=r"train\*|valid\*|no readable"):
        run(str(tmp_path / "r.toml"), tmp_path, tmp_path / "out")
