import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from proxy.training.checkpoint import save_checkpoint
from proxy.training.model import initialise, mean_cross_entropy
from proxy.training.sizes import ModelSpec, model_spec

SMALL = ModelSpec(vocabulary=300, width=32, depth=2, heads=2, ffn=96, context=64)


def some_tokens(rows: int, length: int, vocabulary: int = 300) -> torch.Tensor:
    return torch.randint(0, vocabulary, (rows, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", ["100k", "1m"])
def test_transformers_loads_the_export_and_agrees(size, tmp_path: Path):
    from transformers import AutoModelForCausalLM

    model = initialise(model_spec(size), seed=3)
    with torch.no_grad():  # norms of one would hide a wrong order of norm, weight and rotation
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.normal_(1.0, 0.3, generator=torch.Generator().manual_seed(len(name)))
    save_checkpoint(model, tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(theirs).__name__ == "Qwen3ForCausalLM"
    tokens = some_tokens(3, model.spec.context, model.spec.vocabulary)
    with torch.inference_mode():
        assert torch.allclose(theirs(tokens).logits, model(tokens), atol=1e-4)


def test_weights_depend_on_shape_and_seed_alone():
    first = initialise(SMALL, seed=1).export()
    torch.manual_seed(99)
    torch.rand(10)
    again, other = initialise(SMALL, seed=1).export(), initialise(SMALL, seed=2).export()
    for name, weight in first.items():
        assert torch.equal(weight, again[name])
        assert torch.equal(weight, other[name]) == ("norm" in name)


def test_an_untrained_model_knows_nothing():
    tokens = some_tokens(4, 65)
    loss = initialise(SMALL, seed=0).loss(tokens[:, :-1], tokens[:, 1:])
    # Logits of variance 1 cost half a nat beside equal ones.
    assert loss.item() == pytest.approx(math.log(300) + 0.5, abs=0.1)


def test_a_prediction_does_not_see_what_comes_after():
    model, tokens = initialise(SMALL, seed=0), some_tokens(1, 40)
    changed = tokens.clone()
    changed[0, 20:] = (changed[0, 20:] + 1) % 300
    with torch.inference_mode():
        before, after = model(tokens), model(changed)
    assert torch.allclose(before[:, :20], after[:, :20], atol=1e-6)
    assert not torch.allclose(before[:, 20:], after[:, 20:], atol=1e-3)


def test_a_prediction_depends_on_the_order_of_what_came_before():
    model, tokens = initialise(SMALL, seed=0), some_tokens(1, 10)
    swapped = tokens[:, [1, 0, *range(2, 10)]]
    with torch.inference_mode():
        assert not torch.allclose(model(tokens)[:, -1], model(swapped)[:, -1], atol=1e-5)


@pytest.mark.parametrize("rows", [1, 127, 128, 129, 300])
def test_the_chunked_loss_and_its_gradients_are_those_of_torch(rows):
    generator = torch.Generator().manual_seed(rows)
    hidden = torch.randn(rows, 16, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(50, 16, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 50, (rows,), generator=generator)
    ours = mean_cross_entropy(hidden, weight, targets)
    theirs = F.cross_entropy(hidden @ weight.t(), targets)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    for mine, reference in zip(
        torch.autograd.grad(3 * ours, [hidden, weight]),
        torch.autograd.grad(3 * theirs, [hidden, weight]),
        strict=True,
    ):
        assert torch.allclose(mine, reference, atol=1e-12)


def test_the_loss_stays_finite_for_logits_beyond_the_range_of_exp():
    hidden = torch.full((2, 4), 100.0)
    weight = torch.tensor([[1.0] * 4, [-1.0] * 4])
    assert mean_cross_entropy(hidden, weight, torch.tensor([0, 0])).item() == 0
    assert mean_cross_entropy(hidden, weight, torch.tensor([0, 1])).item() == 400


def test_nats_per_token_average_to_the_loss_and_match_the_logits():
    model, tokens = initialise(SMALL, seed=5), some_tokens(3, 65)
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    with torch.inference_mode():
        nats = model.nats(inputs, targets)
        reference = F.cross_entropy(model(inputs).transpose(1, 2), targets, reduction="none")
        assert torch.allclose(nats, reference, atol=1e-5)
        assert nats.mean().item() == pytest.approx(model.loss(inputs, targets).item(), abs=1e-5)


def test_restoring_an_export_gives_the_same_model():
    first, second = initialise(SMALL, seed=1), initialise(SMALL, seed=2)
    second.restore(first.export())
    assert torch.equal(first(some_tokens(2, 20)), second(some_tokens(2, 20)))


def test_weights_of_another_shape_or_name_are_refused():
    model = initialise(SMALL, seed=1)
    weights = model.export()
    with pytest.raises(ValueError, match=r"model\.norm\.weight"):
        model.restore({n: w for n, w in weights.items() if n != "model.norm.weight"})
    with pytest.raises(ValueError, match=r"norm\.weight is"):
        model.restore({**weights, "model.norm.weight": torch.ones(16)})


@pytest.mark.parametrize("size", ["100k", "1m", "10m"])
def test_embeddings_start_as_large_as_the_matrices_beside_them(size):
    spec = model_spec(size)
    embedding = initialise(spec, seed=1).embed_tokens.weight
    assert embedding.std().item() == pytest.approx(spec.width**-0.5, rel=0.02)
