"""A run that is stopped and resumed ends with the very parameters of one that was not."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing: pip install 'dragoman[train]'")

from dragoman.config import Limits  # noqa: E402
from dragoman.corpus import BENIGN, Instances, _rows, generate_rows  # noqa: E402
from dragoman.features import Grams  # noqa: E402
from dragoman.intel.threats import benchmark  # noqa: E402
from dragoman.model import stage1, stage2  # noqa: E402
from dragoman.model.language import LanguageTower  # noqa: E402
from dragoman.model.payload import HashedTower  # noqa: E402
from dragoman.model.stage1 import Described  # noqa: E402
from dragoman.model.text import load_minilm  # noqa: E402
from dragoman.recipe import Grammar, Stage1, Stage2  # noqa: E402

TEXTS = Described(
    [
        f"{what} number {i}"
        for what in ("quoted query", "script in page", "file path")
        for i in range(4)
    ],
    [group for group in range(3) for _ in range(4)],
)


class KilledError(Exception):
    """What a kill looks like from inside."""


def stop_at(last):
    def on_step(_stage, step, _total, _loss):
        if step == last:
            raise KilledError

    return on_step


def silent(*_):
    pass


def same(a, b):
    ours, theirs = a.state_dict(), b.state_dict()
    assert ours.keys() == theirs.keys()
    return all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.mark.parametrize("loss", ["multi-positive", "triplet"])
def test_stage_1(tmp_path, monkeypatch, loss):
    monkeypatch.setattr(stage1, "EVERY", 2)
    settings = Stage1(loss=loss, frozen=1, length=16, steps=6, batch=8, rate=1e-3)

    def run(folder, on_step):
        tower, tokenizer = load_minilm(layers=2)
        stage1.train(tower, tokenizer, TEXTS, settings, 7, folder, on_step)
        return tower

    start, _ = load_minilm(layers=2)
    whole = run(tmp_path / "whole", silent)
    assert not same(whole, start)
    with pytest.raises(KilledError):
        run(tmp_path / "stopped", stop_at(5))  # the last checkpoint is that of step 4
    steps = []
    resumed = run(tmp_path / "stopped", lambda _s, step, *_: steps.append(step))
    assert steps == [5, 6]
    assert same(resumed, whole)
    assert same(run(tmp_path / "stopped", stop_at(1)), whole)  # a finished stage is not run again


@pytest.fixture(scope="module")
def rows():
    grammar = Grammar(per_class=6, benign=30)
    instances = Instances(Grams(bits=10), Limits())
    made = _rows(generate_rows(grammar, 1), benchmark(), instances)
    instances.finish()
    return instances, made


SMALL = {"bits": 10, "width": 16, "hidden": 32}
KINDS = {
    "text anchors": Stage2(steps=6, attacks=8, benign=8, **SMALL),
    "hard negatives": Stage2(steps=6, attacks=8, benign=8, mined=0.5, **SMALL),
    "learned anchors": Stage2(steps=6, attacks=8, benign=8, anchors="learned", distance=0, **SMALL),
    "language model": Stage2(
        tower="language-model", steps=4, attacks=4, benign=0, softmax=0, detection=0
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_stage_2(tmp_path, monkeypatch, rows, kind):
    monkeypatch.setattr(stage2, "EVERY", 2)
    settings, (instances, made) = KINDS[kind], rows

    def run(folder, on_step):
        torch.manual_seed(5)
        if settings.tower == "hashed":
            tower = HashedTower(settings.bits, settings.width, settings.hidden)
        else:
            tower = LanguageTower(*load_minilm(layers=1))
        learned = settings.anchors == "learned"
        anchors = torch.randn(len(benchmark()), 384)
        model = stage2.Model(tower, anchors, learned, settings.detection > 0)
        before = anchors.clone()
        stage2.train(model, instances, made, settings, 3, folder, on_step)
        assert torch.equal(model.anchors, before) is not learned
        return model

    whole = run(tmp_path / "whole", silent)
    with pytest.raises(KilledError):
        run(tmp_path / "stopped", stop_at(3))
    steps = []
    resumed = run(tmp_path / "stopped", lambda _s, step, *_: steps.append(step))
    assert steps == list(range(3, settings.steps + 1))
    assert same(resumed, whole)


def test_hard_negatives_are_benign_rows_that_score_highest(rows):
    instances, made = rows
    model = stage2.Model(HashedTower(10, 16, 32), torch.randn(len(benchmark()), 384), False)
    benign = np.flatnonzero(made.labels == BENIGN)
    hard = stage2._hardest(model, instances, made, benign, [1])
    logits = stage2.predict(model, instances, [made.bags[i] for i in benign])[1].numpy()
    assert set(hard) <= set(benign)
    assert logits[np.isin(benign, hard)].min() >= np.delete(logits, np.isin(benign, hard)).max()
    drawer = stage2.Drawer(made, Stage2(attacks=8, benign=8, mined=0.5, **SMALL))
    drawer.hard = hard
    drawn = drawer.draw(np.random.default_rng(1))
    assert (made.labels[drawn] == BENIGN).sum() == 8
    assert np.isin(drawn, hard).sum() >= 4
    assert (made.labels[drawn[:8]] >= 0).all()


def test_a_checkpoint_is_replaced_in_one_step(tmp_path):
    from dragoman.model import checkpoint

    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    assert checkpoint.load(tmp_path / "c.safetensors", model, [optimizer]) == 0
    for step in (1, 2):
        checkpoint.save(tmp_path / "c.safetensors", step, model, [optimizer])
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]
    assert checkpoint.load(tmp_path / "c.safetensors", model, [optimizer]) == 2
