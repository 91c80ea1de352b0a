import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.training.model import LanguageModel
from proxy.training.sizes import (
    ModelSpec,
    default_context,
    default_recipe,
    default_vocabulary,
    model_spec,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [("100k", 100_000), ("300K", 300_000), ("1m", 10**6), ("1.5M", 1_500_000), ("30m", 3 * 10**7)],
)
def test_a_size_is_a_number_and_a_letter(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "1", "m", "-1m", "1 m", "1g", "1mm", "1e6", "1.m", "１m"])
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="write one like 100k"):
        parse_size(text)


@pytest.mark.parametrize("text", ["99k", "0m", "0.01m"])
def test_nothing_below_the_smallest_size(text):
    with pytest.raises(ValueError, match="smallest size"):
        parse_size(text)


@pytest.mark.parametrize("size", ["100k", "200k", "300k", "500k", "1m", "3m", "10m", "30m", "100m"])
def test_a_shape_has_the_parameters_it_was_asked_for(size):
    spec = model_spec(size)
    assert spec.parameters == pytest.approx(parse_size(size), rel=0.07)
    assert spec.width == spec.heads * spec.head_width
    assert spec.head_width % 2 == 0
    assert spec.ffn % 16 == 0
    assert spec.ffn / spec.width == pytest.approx(8 / 3, rel=0.15)
    assert 10 <= spec.width / spec.depth <= 64


@given(st.integers(100, 3_000), st.sampled_from([512, 1_024, 2_048]))
def test_every_size_and_small_vocabulary_has_a_shape(thousands, vocabulary):
    spec = model_spec(f"{thousands}k", vocabulary)
    assert spec.parameters == pytest.approx(thousands * 1_000, rel=0.35)
    assert spec.depth >= 2


def test_parameters_are_those_of_the_network():
    spec = ModelSpec(vocabulary=300, width=48, depth=3, heads=3, ffn=128, context=32)
    network = LanguageModel(spec)
    assert spec.parameters == sum(weight.numel() for weight in network.parameters())


def test_a_vocabulary_that_dwarfs_the_model_is_refused():
    with pytest.raises(ValueError, match="comes near 100k"):
        model_spec("100k", 50_000)


@pytest.mark.parametrize(("vocabulary", "context"), [(1, 128), (2_048, 1)])
def test_what_predicts_nothing_is_refused(vocabulary, context):
    with pytest.raises(ValueError, match=r"vocabulary of|context of"):
        model_spec("1m", vocabulary, context)


@pytest.mark.parametrize("size", ["100k", "1m", "30m", "300m"])
def test_defaults_fit_uint16_and_grow_with_the_model(size):
    assert default_vocabulary("100k") <= default_vocabulary(size) <= 2**16
    assert default_context("100k") <= default_context(size)


def test_the_recipe_follows_its_laws_when_tokens_abound():
    spec = model_spec("1m")
    recipe = default_recipe(spec, 10**9)
    assert recipe.learning_rate == pytest.approx(
        0.00235 * (spec.parameters / 108e6) ** (-1 / 3), rel=1e-3
    )
    assert recipe.batch * spec.context == pytest.approx(
        327_680 * (spec.parameters / 108e6) ** (2 / 3), rel=0.01
    )
    assert recipe.warmup <= 0.05


def test_few_tokens_get_small_batches_and_a_smaller_learning_rate():
    spec = model_spec("1m")
    many, few, none = (default_recipe(spec, tokens) for tokens in (10**9, 10**6, 1_000))
    assert few.batch == round(10**6 / spec.context / 400)
    assert few.learning_rate == pytest.approx(
        many.learning_rate * (few.batch / many.batch) ** 0.5, rel=0.03
    )
    assert none.batch == 8


def test_flops_are_six_per_weight_and_token_and_attention():
    spec = ModelSpec(vocabulary=2_048, width=32, depth=3, heads=2, ffn=96, context=128)
    assert spec.flops(10) == 60 * spec.parameters + 60 * 3 * 32 * 128
