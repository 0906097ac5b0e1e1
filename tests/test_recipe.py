"""Recipes: the shipped ones load and mean what they say, and mistakes are named."""

import dataclasses

import pytest

from dragoman.errors import UsageError
from dragoman.recipe import Recipe, load


@pytest.mark.parametrize("name", ["base", "salm", "evidence-only"])
def test_the_shipped_recipes(name):
    recipe = load(name)
    assert recipe.name == name
    assert recipe.stage2.steps > 0


def test_salm_is_the_paper_as_published():
    recipe = load("salm")
    assert (recipe.stage1.loss, recipe.stage1.keep) == ("triplet", 0)
    s = recipe.stage2
    assert (s.tower, s.anchors) == ("language-model", "text")
    assert (s.distance, s.softmax, s.detection, s.benign) == (1, 0, 0, 0)


def test_salm_is_as_base_where_the_paper_is_silent():
    base, salm = load("base"), load("salm")
    for key in ("frozen", "length", "per_class", "until", "steps", "batch", "rate"):
        assert getattr(salm.stage1, key) == getattr(base.stage1, key), key
    assert salm.grammar == dataclasses.replace(base.grammar, benign=0)
    assert (salm.stage2.balance, salm.calibration) == (base.stage2.balance, base.calibration)
    assert (salm.index, salm.seed) == (base.index, base.seed)


def test_evidence_only_is_base_without_text():
    base, ablation = load("base"), load("evidence-only")
    text = {"anchors": "learned", "distance": 0.0, "softmax": 1.0}
    assert ablation.stage2 == dataclasses.replace(base.stage2, **text)
    assert (ablation.grammar, ablation.seed) == (base.grammar, base.seed)
    assert ablation.stage1.loss == "none"


def test_an_unknown_recipe_names_the_shipped_ones():
    with pytest.raises(UsageError, match="base, evidence-only, salm"):
        load("bass")


def written(tmp_path, text):
    path = tmp_path / "own.toml"
    path.write_text(text)
    return str(path)


def test_an_own_recipe_keeps_the_defaults(tmp_path):
    recipe = load(written(tmp_path, 'name = "own"\n[stage2]\nsteps = 5\n'))
    assert dataclasses.replace(recipe, stage2=Recipe("own").stage2) == Recipe("own")
    assert recipe.stage2.steps == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"\n[stage2]\nstep = 5', "did you mean stage2.steps"),
        ('name = "x"\n[stage1]\nloss = "tripled"', "one of triplet, multi-positive, none"),
        ('name = "x"\n[stage2]\ntower = "cnn"', "one of hashed, language-model"),
        ('name = "x"\n[stage2]\nanchors = "free"', "one of text, learned"),
        ('name = "x"\n[stage2]\ndetection = 0', "hashed tower needs stage2.detection"),
        ('name = "x"\n[stage2]\nsteps = "5"', "stage2.steps must be int"),
        ("name = ", "cannot read settings"),
        ("seed = 1.5", "seed must be int"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        load(written(tmp_path, text))


def test_a_missing_file(tmp_path):
    with pytest.raises(UsageError, match="cannot read settings"):
        load(str(tmp_path / "none.toml"))
