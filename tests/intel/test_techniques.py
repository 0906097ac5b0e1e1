from __future__ import annotations

import re

from dragoman.intel.techniques import builtin, matrix, tactics


def test_there_are_many_and_each_is_whole() -> None:
    texts = builtin()
    assert len(texts) >= 250
    ids = [text.id for text in texts]
    assert ids == sorted(set(ids))
    slugs = {text.slug for text in tactics()}
    for text in texts:
        assert re.fullmatch(r"T\d{4}(\.\d{3})?", text.id)
        assert text.kind == "technique"
        assert text.techniques == (text.id,)
        assert {"Windows", "Linux"} & set(text.platforms), text.id
        assert text.tactics, text.id
        assert set(text.tactics) <= slugs, text.id
        assert text.body.endswith("."), text.id
        assert len(text.body) > 20, text.id
        assert text.looks, text.id
        assert all(10 < len(look) <= 500 for look in text.looks), text.id


def test_every_parent_is_there_and_names_its_children() -> None:
    texts = {text.id: text for text in builtin()}
    for text in texts.values():
        if text.parent:
            assert text.title.startswith(f"{texts[text.parent].title}: "), text.id


def test_no_text_stands_twice() -> None:
    parts = [part for text in builtin() for part in (text.body, *text.looks)]
    assert len(parts) == len(set(parts))


def test_the_matrix_is_in_order() -> None:
    found = matrix()
    assert found.version == "built-in"
    assert len(found.tactics) == 14
    assert found.tactics[0] == "reconnaissance"
    assert found.tactics[-1] == "impact"
    assert found.names["command-and-control"] == "Command and Control"
    assert found.parents["T1059.001"] == "T1059"
    places = {slug: place for place, slug in enumerate(found.tactics)}
    for slugs in found.techniques.values():
        assert [*slugs] == sorted(slugs, key=places.__getitem__)
    assert found.successors["T1685"] == "T1562.001"
