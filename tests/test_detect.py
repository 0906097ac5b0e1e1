"""Search and decide: pooling over the fields of a record, and naming its class or none."""

import math

import numpy as np
import pytest

from dragoman.bundle import load
from dragoman.config import Limits
from dragoman.detect import NOTHING, Scored, Scorer, decide
from dragoman.encode import payload_encoder, unit
from dragoman.prepare.fields import split
from dragoman.prepare.instances import instances_of
from dragoman.records import Payload, Where

LIMITS = Limits()
ATTACK = b"1' UNION SELECT username,password FROM users-- -"


def request(*pairs: bytes) -> Payload:
    data = b"GET /shop?" + b"&".join(pairs) + b" HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"
    return Payload("1", data, "http", Where("t"))


ROWS = [
    request(b"id=1'%20UNION%20SELECT%20username,password%20FROM%20users--%20-", b"q=a;b", b"r=<i>"),
    request(b"id=1", b"page=2"),
    Payload("3", ATTACK, "value", Where("t")),
    Payload("4", b"", "value", Where("t")),
]


@pytest.fixture(scope="module")
def encoder(bundle_path):
    return payload_encoder(load(bundle_path))


@pytest.fixture
def scorer(encoder):
    return Scorer(encoder, split, LIMITS)


def test_the_highest_logit_counts_and_vectors_weigh_by_the_softmax_of_the_logits(scorer, encoder):
    scored = scorer.score(ROWS[:1])[0]
    texts = list({t for f in split(ROWS[0], LIMITS).fields for t in instances_of(f, LIMITS)})
    vectors, logits = encoder.encode(texts)
    weight = np.exp(logits - logits.max())
    weight[logits <= logits.max() - 8] = 0
    assert scored.logit == pytest.approx(float(logits.max()), abs=1e-4)
    assert np.allclose(scored.vector, unit(weight @ vectors), atol=1e-4)
    assert scored.score == pytest.approx(1 / (1 + math.exp(-scored.logit)))


def test_the_deciding_field_comes_first(scorer, encoder):
    scored = scorer.score(ROWS[:1])[0]
    alone = encoder.encode(instances_of(scored.fields[0], LIMITS))[1]
    assert scored.logits[0] == scored.logit == pytest.approx(float(alone.max()), abs=1e-4)
    assert list(scored.logits) == sorted(scored.logits, reverse=True)
    assert len(scored.fields) == len(scored.logits)


def test_a_record_in_which_nothing_can_be_read(scorer):
    for scored in scorer.score([ROWS[1], ROWS[3]]):
        assert scored == Scored(NOTHING, (), (), (), True)
        assert scored.score < 1e-9
        assert decide(scored, np.eye(3, dtype=np.float32), 0.0) is None


def test_a_batch_reads_as_its_records_one_by_one(scorer, encoder):
    together = scorer.score(ROWS)
    for row, ours in zip(ROWS, together, strict=True):
        alone = Scorer(encoder, split, LIMITS).score([row])[0]
        assert alone.logit == pytest.approx(ours.logit, abs=1e-4)
        assert alone.fields == ours.fields
    again = scorer.score(ROWS)  # from memory
    assert [s.logit for s in again] == [s.logit for s in together]


def test_what_a_limit_left_out_is_said(encoder):
    small = Scorer(encoder, split, Limits(field_bytes=10))
    assert not small.score(ROWS[2:3])[0].covered


CLASSES = np.array([[1, 0, 0], [0, 1, 0], [0, 0.6, 0.8]], np.float32)


def scored(*vector: float) -> Scored:
    return Scored(1.0, (np.array(vector, np.float32),), (), (), True)


def test_the_nearest_class_is_named():
    verdict = decide(scored(0, 0, 1), CLASSES, 0.5)
    assert verdict.named == 2
    assert verdict.order.tolist() == [2, 0, 1]
    assert verdict.similarity.tolist() == pytest.approx([0, 0, 0.8])


def test_a_vector_near_no_class_is_not_named():
    assert decide(scored(0, 0, 1), CLASSES, 0.81).named is None
    assert decide(scored(0, 0, 1), np.zeros((0, 3), np.float32), 0.1).named is None


def test_equal_classes_are_taken_in_order():
    assert decide(scored(1, 0, 0), CLASSES[[0, 0]], 0.5).order.tolist() == [0, 1]
