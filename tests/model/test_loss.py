"""Losses against values worked out by hand."""

import math

import pytest

torch = pytest.importorskip("torch", reason="torch is missing: pip install 'dragoman[train]'")

from dragoman.model.loss import (  # noqa: E402
    anchor_softmax,
    multi_positive,
    squared_distance,
    triplet,
)

X, Y = [1.0, 0.0], [0.0, 1.0]
ANCHORS = torch.tensor([X, Y])


def test_squared_distance():
    vectors = torch.tensor([X, X, [0.6, 0.8]])
    labels = torch.tensor([0, 1, 0])  # distances 0, 2, 0.4² + 0.8²
    assert squared_distance(vectors, ANCHORS, labels).item() == pytest.approx((0 + 2 + 0.8) / 3)


def test_anchor_softmax():
    loss = anchor_softmax(torch.tensor([X]), ANCHORS, torch.tensor([0]), scale=3.0)
    right, wrong = -math.log(math.e**3 / (math.e**3 + 1)), -math.log(1 / (math.e**3 + 1))
    assert loss.item() == pytest.approx(0.975 * right + 0.025 * wrong, rel=1e-5)


def test_triplet():
    anchor, positive, negative = torch.tensor([X]), torch.tensor([Y]), torch.tensor([[-1.0, 0.0]])
    expected = math.sqrt(2) - 2 + 0.7  # the negative is 0.59 further away, the margin asks for 0.7
    assert triplet(anchor, positive, negative, 0.7).item() == pytest.approx(expected, abs=1e-4)
    assert triplet(anchor, positive, negative, 0.5).item() == 0


def test_multi_positive():
    vectors, groups = torch.tensor([X, X, Y]), torch.tensor([0, 0, 1])
    # rows 0 and 1 each choose between the other (cosine 1) and row 2 (cosine 0); row 2 is alone
    expected = -math.log(math.e**2 / (math.e**2 + 1))
    assert multi_positive(vectors, groups, scale=2.0).item() == pytest.approx(expected, rel=1e-5)


def test_multi_positive_without_positives_is_zero_and_differentiable():
    vectors = torch.tensor([X, Y], requires_grad=True)
    loss = multi_positive(vectors, torch.tensor([0, 1]), scale=2.0)
    loss.backward()
    assert loss.item() == 0
    assert not vectors.grad.any()


def test_all_positives_count_not_only_one():
    """Descriptions of one threat in a batch must not repel each other."""
    groups = torch.tensor([0, 0, 0, 1, 1])
    near = torch.tensor([X, X, X, Y, Y])
    far = torch.tensor([X, X, [-1.0, 0.0], Y, Y])
    assert multi_positive(near, groups, 5.0) < multi_positive(far, groups, 5.0)
