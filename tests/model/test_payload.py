"""The payload tower's parts: counted bags with sparse gradients, and pooling over fields."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing: pip install 'dragoman[train]'")

from scipy.sparse import csr_array  # noqa: E402

from dragoman.config import Limits  # noqa: E402
from dragoman.corpus import Instances  # noqa: E402
from dragoman.detect import Scorer  # noqa: E402
from dragoman.encode import HashedEncoder  # noqa: E402
from dragoman.features import Grams  # noqa: E402
from dragoman.model.export import hashed_tower  # noqa: E402
from dragoman.model.payload import Counted, HashedTower, cosine_logit, pool  # noqa: E402
from dragoman.model.stage2 import Model, predict  # noqa: E402
from dragoman.records import Payload, Where  # noqa: E402


def test_the_sum_and_its_gradient_equal_an_embedding_bag():
    torch.manual_seed(0)
    tower = HashedTower(bits=6, width=8, hidden=16).eval()
    ids, offsets = torch.tensor([3, 9, 9, 40, 3]), torch.tensor([0, 3])
    counts = csr_array(np.array([[1, 2, 0], [1, 0, 1]], np.float32))
    tower(Counted(torch.tensor([3, 9, 40]), counts))[0].sum().backward()
    ours = tower.table.grad.to_dense()
    table = tower.table.detach().clone().requires_grad_()
    bags = torch.nn.functional.embedding_bag(ids, table, offsets, mode="sum")
    hidden = torch.nn.functional.gelu(tower.hidden(tower.norm(bags)))
    tower.out(hidden).sum().backward()
    assert torch.allclose(ours, table.grad, atol=1e-5)
    assert set(ours.abs().sum(1).nonzero().flatten().tolist()) == {3, 9, 40}


def test_pooling_weighs_instances_by_their_logits():
    vectors = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
    logits = torch.tensor([math.log(3), 0.0, 5.0])
    pooled = pool(vectors, logits, torch.tensor([0, 0, 1]), 2)
    expected = torch.tensor([0.75, 0.25])
    assert torch.allclose(pooled.vectors[0], expected / expected.norm())
    assert torch.allclose(pooled.vectors[1], torch.tensor([0.0, 1.0]))
    assert pooled.highest.tolist() == pytest.approx([math.log(3), 5.0], rel=1e-5)
    assert pooled.logits.tolist() == pytest.approx([0.75 * math.log(3), 5.0], rel=1e-5)


def test_cosine_logit_is_that_of_the_nearest_anchor():
    unit, anchors = torch.tensor([[0.6, 0.8]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert cosine_logit(unit, anchors).item() == pytest.approx(10 * 0.8 - 5)


RECORDS = [
    Payload("1", b"GET /a?q=<script>alert(1)</script>&r=1'-- HTTP/1.1\r\nX: ;id\r\n\r\n", "http",
            Where("t")),
    Payload("2", b"../../../etc/passwd", "value", Where("t")),
    Payload("3", b"{{7*7}}" * 200, "value", Where("t")),
]  # fmt: skip


def test_training_and_scanning_score_records_alike(tmp_path):
    """The same fields, features, tower and pooling on both sides."""
    from dragoman.prepare.fields import split

    torch.manual_seed(1)
    grams = Grams(bits=12)
    tower = HashedTower(bits=12, width=32, hidden=48)
    instances = Instances(grams, Limits())
    bags = [instances.bag(r) for r in RECORDS]
    instances.finish()
    vectors, logits = predict(Model(tower, torch.eye(2, 384), False), instances, bags)
    hashed_tower(tower, tmp_path / "payload.safetensors")
    scored = Scorer(HashedEncoder(tmp_path, grams), split, Limits()).score(RECORDS)
    for i, one in enumerate(scored):
        assert one.logit == pytest.approx(float(logits[i]), abs=0.1)
        assert float(vectors[i] @ torch.from_numpy(one.vector)) > 0.98
