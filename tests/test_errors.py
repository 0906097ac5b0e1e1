"""Every error says what, where and what next, and has the documented exit code."""

import pytest

from dragoman import errors

TREE = {
    errors.UsageError: 2,
    errors.SourceError: 3,
    errors.LimitError: 3,
    errors.BundleError: 4,
    errors.IntelError: 4,
}


@pytest.mark.parametrize(("kind", "code"), TREE.items())
def test_each_error_is_ours_and_has_its_exit_code(kind, code):
    err = kind("broken")
    assert isinstance(err, errors.DragomanError)
    assert err.exit_code == code


def test_the_table_above_is_the_whole_tree():
    ours = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert ours == {errors.DragomanError, *TREE}


def test_a_limit_is_a_source_error():
    assert issubclass(errors.LimitError, errors.SourceError)


@pytest.mark.parametrize(
    ("where", "hint", "text"),
    [
        (None, None, "broken"),
        ("a.log:7", None, "a.log:7: broken"),
        (None, "mend it", "broken\n  mend it"),
        ("a.log:7", "mend it", "a.log:7: broken\n  mend it"),
    ],
)
def test_the_message_holds_all_parts(where, hint, text):
    err = errors.SourceError("broken", where=where, hint=hint)
    assert str(err) == text
    assert (err.what, err.where, err.hint) == ("broken", where, hint)
