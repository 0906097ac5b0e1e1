"""Inference without torch gives what the trained towers give."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dragoman.bundle import DIM, load
from dragoman.encode import HashedEncoder, TextEncoder, gelu, payload_encoder, unit
from dragoman.features import Grams, features
from dragoman.synth.grammar import generate

GRAMS = Grams(bits=12)
STRINGS = [
    s.payload.lower()[:512]
    for slug in ("sql-injection", "cross-site-scripting", "path-traversal", "benign")
    for s in generate(slug, 15, 2)
]
SENTENCES = [
    "An attacker reads files outside the web root with dot-dot segments in a file name.",
    "The login form passes the user name to the database without escaping quotes.",
    "A stored comment runs script in the browser of an administrator.",
    "Unsafe deserialisation of a session cookie lets anyone run code.",
    "The import feature resolves external entities in XML documents.",
    "The ping page hands the host parameter to a shell.",
    "The preview fetches any URL, also those of the cloud metadata service.",
    "After login the user is sent to whatever address stands in the next parameter.",
    "An avatar may be any file, so a script can be uploaded and called.",
    "Line breaks in the language parameter end up in the response headers.",
    "A template written by the user is evaluated on the server.",
    "sql",
]


@pytest.fixture(scope="module")
def hashed(tmp_path_factory):
    """A hashed tower with random weights, in torch and exported."""
    torch = pytest.importorskip("torch", reason="torch is missing: pip install 'dragoman[train]'")
    from dragoman.model.export import hashed_tower
    from dragoman.model.payload import HashedTower

    torch.manual_seed(3)
    tower = HashedTower(bits=GRAMS.bits, width=32, hidden=64).eval()
    folder = tmp_path_factory.mktemp("hashed")
    hashed_tower(tower, folder / "payload.safetensors")
    return tower, HashedEncoder(folder, GRAMS)


def with_torch(tower, strings):
    import torch
    from scipy.sparse import csr_array

    from dragoman.model.payload import Counted

    ids, offsets = features(strings, GRAMS)
    rows, column = np.unique(ids, return_inverse=True)
    owner = np.repeat(np.arange(len(strings)), np.diff(offsets))
    shape = (len(strings), len(rows))
    counts = csr_array((np.ones(len(ids), np.float32), (owner, column)), shape=shape)
    with torch.no_grad():
        vectors, logits = tower(Counted(torch.from_numpy(rows.astype(np.int64)), counts))
    return unit(vectors.numpy()), logits.numpy()


def test_the_hashed_tower_equals_its_torch_original(hashed):
    tower, encoder = hashed
    theirs, their_logits = with_torch(tower, STRINGS)
    ours, our_logits = encoder.encode(STRINGS)
    assert (ours * theirs).sum(1).min() > 0.99
    assert np.abs(our_logits - their_logits).max() < 0.1


def test_the_hashed_tower_reads_each_instance_alone(hashed):
    _, encoder = hashed
    vectors, logits = encoder.encode(STRINGS)
    for i in range(0, len(STRINGS), 7):
        vector, logit = encoder.encode([STRINGS[i]])
        assert np.allclose(vector[0], vectors[i], atol=1e-5)
        assert logit[0] == pytest.approx(logits[i], abs=1e-4)


def test_nothing_to_encode(hashed):
    vectors, logits = hashed[1].encode([])
    assert (vectors.shape, logits.shape) == ((0, DIM), (0,))


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(instances=st.lists(st.binary(max_size=600), min_size=1, max_size=4))
def test_any_instances_give_finite_unit_vectors(shipped, instances):
    vectors, logits = shipped[1].encode(instances)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert np.isfinite(logits).all()


def test_gelu_is_close_to_the_exact_one():
    torch = pytest.importorskip("torch")
    x = np.linspace(-6, 6, 500, dtype=np.float32)
    exact = torch.nn.functional.gelu(torch.from_numpy(x)).numpy()
    assert np.abs(gelu(x) - exact).max() < 1e-3


@pytest.fixture(scope="module")
def shipped(bundle_path):
    bundle = load(bundle_path)
    return TextEncoder(bundle.path, bundle.mean), payload_encoder(bundle)


def test_texts_in_a_batch_and_one_by_one(shipped):
    """Not exactly: int8 activations are scaled by the largest of the batch."""
    texts = shipped[0]
    batch = texts.encode(SENTENCES)
    assert batch.shape == (len(SENTENCES), DIM)
    for i in (0, 5, 11):
        assert float(texts.encode([SENTENCES[i]])[0] @ batch[i]) > 0.97


@pytest.mark.parametrize(
    "text", ["", "\0", "😀" * 5000, "a " * 100_000, "\ud800", "‮ right to left"]
)
def test_any_text_has_a_unit_vector(shipped, text):
    vector = shipped[0].encode([text])[0]
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-4)


def test_no_texts(shipped):
    assert shipped[0].encode([]).shape == (0, DIM)


def test_near_texts_are_nearer_than_far_ones(shipped):
    a, b, c = shipped[0].encode(
        ["SQL injection in the search form", "database query built from user input", "cake recipe"]
    )
    assert a @ b > a @ c


def test_unit_leaves_zero_rows_alone():
    rows = unit(np.array([[0.0, 0.0], [3.0, 4.0]]))
    assert np.allclose(rows, [[0.0, 0.0], [0.6, 0.8]])
