"""A bundle that is missing, damaged, tampered with or foreign is refused; nothing else happens."""

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from dragoman.bundle import DIM, load
from dragoman.cli import app
from dragoman.encode import payload_encoder
from dragoman.errors import BundleError

CLASSES = [
    {"id": f"class:{slug}", "slug": slug, "title": slug, "severity": "high"} for slug in ("a", "b")
]


def sealed(folder: Path, **changes) -> Path:
    """Write ``bundle.json`` with fresh digests of all parts: only their content may be wrong."""
    path = folder / "bundle.json"
    data = json.loads(path.read_bytes())
    data["files"] = {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p != path
    }
    path.write_text(json.dumps(data | changes), "utf-8")
    return folder


@pytest.fixture
def small(tmp_path):
    """A whole bundle, except that its text tower is empty: it is loaded on first use only."""
    folder = tmp_path / "small"
    (folder / "index").mkdir(parents=True)
    for name in ("text.onnx", "tokenizer.json", "index/index.json"):
        (folder / name).write_bytes(b"{}")
    rng = np.random.default_rng(1)

    def some(*shape):
        return rng.normal(size=shape).astype(np.float32)

    space = {"mean": some(DIM), "classes": some(2, DIM)}
    save_file(space, folder / "space.safetensors")
    payload = {
        "table": rng.integers(-9, 9, (256, 8), dtype=np.int8),
        "scale": np.ones(8, np.float32),
        **{"norm.weight": some(8), "norm.bias": some(8)},
        **{"hidden.weight": some(6, 8), "hidden.bias": some(6)},
        **{"out.weight": some(DIM, 6), "out.bias": some(DIM)},
        **{"attack.weight": some(1, 6), "attack.bias": some(1)},
    }
    save_file(payload, folder / "payload.safetensors")
    manifest = {
        "format": 1,
        "name": "small",
        "space": "0" * 64,
        "tower": "hashed",
        "grams": {"bits": 8},
        "threshold": 0.5,
        "known": 0.2,
        "classes": CLASSES,
        "files": {},
        "card": {},
    }
    (folder / "bundle.json").write_text(json.dumps(manifest), "utf-8")
    return sealed(folder)


def use(folder: Path) -> None:
    """Load a bundle and read instances with it."""
    vectors, logits = payload_encoder(load(folder)).encode([b"' or 1=1", b""])
    assert np.isfinite(vectors).all()
    assert np.isfinite(logits).all()


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(BundleError) as caught:
        use(folder)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert str(folder) in str(caught.value)


def test_the_bundle_of_these_tests_loads(bundle_path):
    bundle = load(bundle_path)
    assert len(bundle.classes) == len(bundle.class_vectors) >= 11
    assert np.allclose(np.linalg.norm(bundle.class_vectors, axis=1), 1, atol=1e-3)
    assert 0 < bundle.threshold <= 1
    assert len(bundle.digest) == len(bundle.space) == 64


def test_the_small_bundle_loads(small):
    use(small)


def test_a_missing_bundle(tmp_path):
    refused(tmp_path / "nothing", "No such file")


@pytest.mark.parametrize("name", ["payload.safetensors", "space.safetensors", "text.onnx"])
def test_a_missing_truncated_or_changed_part(small, name):
    part = small / name
    data = part.read_bytes()
    part.write_bytes(data[:-1] if len(data) > 2 else b"")
    refused(small, "SHA-256", name)
    part.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    refused(small, "SHA-256", name)
    part.unlink()
    refused(small, "No such file", name)


@pytest.mark.parametrize(
    "name", ["payload.safetensors", "space.safetensors", "text.onnx", "tokenizer.json"]
)
def test_a_part_without_a_digest(small, name):
    files = json.loads((small / "bundle.json").read_bytes())["files"]
    sealed(small, files={k: v for k, v in files.items() if k != name})
    refused(small, "no digest of", name)


def test_a_name_that_leads_out_of_the_bundle(small, tmp_path):
    (tmp_path / "secret").write_bytes(b"x")
    files = json.loads((small / "bundle.json").read_bytes())["files"]
    digest = hashlib.sha256(b"x").hexdigest()
    for name in ("../secret", str(tmp_path / "secret"), "index/../../secret"):
        sealed(small, files=files | {name: digest})
        refused(small, "outside")
    (small / "link").symlink_to(tmp_path / "secret")
    sealed(small, files=files | {"link": digest})
    refused(small, "outside")
    sealed(small, files=files | {"nul\0": digest})
    refused(small)


def test_a_pipe_is_not_waited_for(small):
    files = json.loads((small / "bundle.json").read_bytes())["files"]
    os.mkfifo(small / "pipe")
    sealed_files = files | {"pipe": "0" * 64}
    data = json.loads((small / "bundle.json").read_bytes()) | {"files": sealed_files}
    (small / "bundle.json").write_text(json.dumps(data))
    refused(small, "not a file")
    (small / "bundle.json").unlink()
    os.mkfifo(small / "bundle.json")
    refused(small, "not a file")


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"tower": "magic"},
        {"tower": None},
        {"tower": []},
        {"tower": "language-model"},
        {"threshold": float("nan")},
        {"threshold": 1e300},
        {"threshold": 10**400},
        {"threshold": -0.1},
        {"threshold": "0.5"},
        {"threshold": True},
        {"known": float("inf")},
        {"known": -2},
        {"classes": CLASSES[:1]},
        {"classes": [{}, {}]},
        {"classes": [CLASSES[0], CLASSES[1] | {"title": 5}]},
        {"classes": 7},
        {"name": None},
        {"space": 4},
        {"card": []},
        {"card": None},
        {"files": []},
        {"files": {}},
        {"grams": {"bits": 9}},
        {"grams": {"bits": 60}},
        {"grams": {"bits": "8"}},
        {"grams": {"bits": 8, "chars": [10**9]}},
        {"grams": {"bits": 8, "chars": ["3"]}},
        {"grams": {"bits": 8, "chars": 3}},
        {"grams": {"bits": 8, "more": 1}},
        {"grams": []},
    ],
    ids=lambda change: json.dumps(change)[:50],
)
def test_a_manifest_that_does_not_fit(small, change):
    path = small / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change), "utf-8")
    refused(small)


@pytest.mark.parametrize(
    "text", [b"", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000, b'"' + b"a" * (5 << 20) + b'"']
)
def test_a_manifest_that_is_none(small, text):
    (small / "bundle.json").write_bytes(text)
    refused(small)


def test_a_threshold_nothing_reaches_is_allowed(small):
    use(sealed(small, threshold=float(np.nextafter(1, 2))))


@pytest.mark.parametrize("part", ["space", "payload"])
def test_tensors_of_the_wrong_shape_type_or_value(small, part):
    path = small / f"{part}.safetensors"
    whole = load_file(path)
    for name, array in whole.items():
        wrong = [
            array[:-1],
            np.concatenate([array, array]),
            array[None],
            array.astype(np.float64),
            array.astype(np.int64),
        ]
        if array.dtype == np.float32:
            wrong += [np.full_like(array, v) for v in (np.nan, np.inf, 1e30)]
        for other in wrong:
            save_file(whole | {name: np.ascontiguousarray(other)}, path)
            refused(sealed(small), path.name)
        save_file({k: v for k, v in whole.items() if k != name}, path)
        refused(sealed(small))


def test_what_is_no_safetensors_file(small):
    for data in (b"", b"{}", b"\x80\x04pickle.", b"PK\x03\x04", bytes(64)):
        (small / "space.safetensors").write_bytes(data)
        refused(sealed(small), "space.safetensors")


def test_a_language_model_that_is_none(small):
    (small / "payload.onnx").write_bytes(b"not onnx")
    refused(sealed(small, tower="language-model"), "payload.onnx")


def test_the_command_exits_with_4(small):
    (small / "bundle.json").write_bytes(b"{")
    done = CliRunner().invoke(app, ["info", "--bundle", str(small)])
    assert done.exit_code == 4
    assert "damaged bundle" in done.output
    assert CliRunner().invoke(app, ["info", "--bundle", "/nothing/here"]).exit_code == 4


# -- damage of any kind --------------------------------------------------------------------------

EDITS = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True), st.binary(min_size=0, max_size=4), st.integers(0, 4)
    ),
    min_size=1,
    max_size=4,
)
QUIET = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def damaged(data: bytes, edits) -> bytes:
    for place, new, removed in edits:
        at = int(place * len(data))
        data = data[:at] + new + data[at + removed :]
    return data


def only_bundle_errors(folder: Path) -> None:
    with contextlib.suppress(BundleError):
        use(folder)


@QUIET
@given(EDITS)
def test_a_damaged_manifest_raises_bundle_errors_only(small, edits):
    path = small / "bundle.json"
    whole = path.read_bytes()
    try:
        path.write_bytes(damaged(whole, edits))
        only_bundle_errors(small)
    finally:
        path.write_bytes(whole)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


@QUIET
@given(
    st.sampled_from(
        [
            "format",
            "name",
            "space",
            "tower",
            "grams",
            "threshold",
            "known",
            "classes",
            "files",
            "card",
        ]
    ),
    VALUES,
)
def test_any_value_in_the_manifest_raises_bundle_errors_only(small, key, value):
    path = small / "bundle.json"
    whole = path.read_bytes()
    try:
        path.write_text(json.dumps(json.loads(whole) | {key: value}), "utf-8")
        only_bundle_errors(small)
    finally:
        path.write_bytes(whole)


@QUIET
@given(st.sampled_from(["space.safetensors", "payload.safetensors"]), EDITS, st.booleans())
def test_damaged_tensors_raise_bundle_errors_only(small, name, edits, in_header):
    path = small / name
    whole = path.read_bytes()
    try:
        if in_header:
            edits = [(place * 600 / len(whole), new, removed) for place, new, removed in edits]
        path.write_bytes(damaged(whole, edits))
        only_bundle_errors(sealed(small))
    finally:
        path.write_bytes(whole)
        sealed(small)


def test_the_real_bundle_with_damaged_models(bundle_path, tmp_path):
    """Text towers are loaded when first needed: a damaged one is refused then."""
    folder = tmp_path / "copy"
    shutil.copytree(bundle_path, folder)
    model = folder / "text.onnx"
    model.write_bytes(damaged(model.read_bytes(), [(0.5, b"\xff" * 4, 4000)]))
    from dragoman import Engine

    with pytest.raises(BundleError, match=r"text\.onnx"):
        Engine.load(sealed(folder)).search("sql")
    shutil.copy(bundle_path / "text.onnx", model)
    (folder / "tokenizer.json").write_text('{"model": 3}')
    with pytest.raises(BundleError):
        Engine.load(sealed(folder)).search("sql")
