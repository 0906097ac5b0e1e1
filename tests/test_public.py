"""The public surface is frozen: a change here is a change for every user."""

import inspect

import pytest

import dragoman

SIGNATURES = {
    "load": "(bundle: 'str | Path | None' = None, *, intel: 'str | Path | None' = None,"
    " config: 'Config' = Config()) -> 'Engine'",
    "scan": "(self, source: 'Source', *, format: 'str | None' = None, column: 'str | None' = None,"
    " strict: 'bool' = False) -> 'Scan'",
    "explain": "(self, payload: 'bytes | str', *, kind: 'Kind | None' = None) -> 'Explanation'",
    "search": "(self, text: 'str', *, k: 'int' = 10) -> 'list[Hit]'",
    "add_intel": "(self, paths: 'Paths', *, as_class: 'bool' = False,"
    " on_reject: 'Callable[[Rejected], object] | None' = None,"
    " on_step: 'Callable[[int, int], object] | None' = None) -> 'list[Text]'",
    "list_intel": "(self) -> 'list[Text]'",
    "remove_intel": "(self, ids: 'Iterable[str]') -> 'int'",
    "evaluate": "(self, paths: 'Paths') -> 'dict[str, Any]'",
    "info": "(self) -> 'dict[str, Any]'",
}


def test_names():
    assert dragoman.__all__ == [
        "BundleError", "Config", "DragomanError", "Engine", "Explanation", "Finding", "Hit",
        "IntelError", "LimitError", "Limits", "Payload", "SourceError", "Text", "UsageError",
        "__version__",
    ]  # fmt: skip


def test_every_name_is_there():
    for name in dragoman.__all__:
        assert getattr(dragoman, name) is not None
    assert dir(dragoman) == dragoman.__all__


def test_no_other_name():
    with pytest.raises(AttributeError, match="no attribute 'Scanner'"):
        _ = dragoman.Scanner


def test_the_engine_has_these_methods_and_no_more():
    public = {
        name
        for name, value in vars(dragoman.Engine).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, classmethod))
    }
    assert public == set(SIGNATURES)


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature(name):
    method = getattr(dragoman.Engine, name)
    text = str(inspect.signature(method)).replace(repr(dragoman.Config()), "Config()")
    assert text == SIGNATURES[name]


@pytest.mark.parametrize("name", SIGNATURES)
def test_every_method_is_documented(name):
    assert inspect.getdoc(getattr(dragoman.Engine, name))
