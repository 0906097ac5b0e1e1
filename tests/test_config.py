"""Settings: defaults, overrides, and errors that name the key."""

import contextlib
import dataclasses
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.config import Config, Limits, from_toml
from dragoman.errors import UsageError


@pytest.fixture
def load(tmp_path):
    def _load(text: str) -> Config:
        path = tmp_path / "dragoman.toml"
        path.write_text(text, "utf-8")
        return Config.load(path)

    return _load


def test_an_empty_file_changes_nothing(load):
    assert load("") == Config()


def test_keys_override_one_by_one(load):
    config = load("[limits]\nfields = 7\n[scan]\nthreshold = 0.25\n")
    assert config.limits == dataclasses.replace(Limits(), fields=7)
    assert config.scan.threshold == 0.25


def test_a_whole_number_is_a_float_where_a_float_is_due(load):
    threshold = load("[scan]\nthreshold = 1\n").scan.threshold
    assert threshold == 1.0
    assert isinstance(threshold, float)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[limits]\nfeilds = 7", "did you mean limits.fields?"),
        ("[scna]\nbatch = 7", "did you mean scan?"),
        ("[limits]\nqqqq = 7", "known: record_bytes"),
        ("limits = 7", "limits must be a table"),
        ("[limits]\nfields = '7'", "limits.fields must be int, not str"),
        ("[limits]\nfields = true", "limits.fields must be int, not bool"),
        ("[scan]\nthreshold = 'x'", "scan.threshold must be float or NoneType, not str"),
        ("[limits", "cannot read settings"),
    ],
)
def test_an_error_names_file_key_and_remedy(load, text, named):
    with pytest.raises(UsageError) as caught:
        load(text)
    assert named in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.where.endswith("dragoman.toml")


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="cannot read settings"):
        from_toml(Config, tmp_path / "none.toml")


@given(st.binary(max_size=200))
def test_any_bytes_load_or_are_a_usage_error(tmp_path_factory, data):
    path = Path(tmp_path_factory.getbasetemp()) / f"any-{os.getpid()}.toml"
    path.write_bytes(data)
    with contextlib.suppress(UsageError):
        assert isinstance(Config.load(path), Config)


def test_every_limit_is_a_positive_whole_number():
    assert all(type(value) is int and value > 0 for value in dataclasses.asdict(Limits()).values())
