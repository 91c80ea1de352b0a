"""Train one small model on one file of tokens, the same way every time."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from proxy.token_files import Tokens, map_tokens, token_dtype
from proxy.training.model import LanguageModel, initialise
from proxy.training.sizes import ModelSpec, Recipe
from winnow import ShardError


@dataclass(frozen=True)
class Curve:
    """One row per step: tokens seen by its end, loss before it (nats per token), learning rate."""

    tokens: tuple[int, ...]
    loss: tuple[float, ...]
    learning_rate: tuple[float, ...]

    @property
    def final_loss(self) -> float:
        """Mean over the last tenth of the steps, since one batch alone is noisy."""
        return float(np.mean(self.loss[-max(1, len(self.loss) // 10) :]))


@contextmanager
def deterministic() -> Iterator[None]:
    """One thread and deterministic kernels within; as before afterwards.

    Trials run side by side, one per core: threads of their own would only fight. On a GPU cuBLAS
    needs its workspace fixed for repeatable sums.
    """
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def pick_device(device: str) -> torch.device:
    """``auto`` is the first GPU, or the CPU where there is none."""
    if device != "auto":
        return torch.device(device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def read_tokens(path: Path, spec: ModelSpec) -> Tokens:
    """Map a token file of the model's vocabulary. ShardError when it cannot train this model: too
    short for one sequence, half a token at its end, or a token outside the vocabulary."""
    size, dtype = path.stat().st_size, token_dtype(spec.vocabulary)
    if size % dtype.itemsize or size < dtype.itemsize * (spec.context + 1):
        raise ShardError(
            "token-file",
            f"{path.name} has {size} bytes; a sequence takes {dtype.itemsize * (spec.context + 1)}",
            "give the mix a larger token budget",
        )
    tokens = map_tokens(path, dtype)
    largest = int(tokens.max())
    if largest >= spec.vocabulary:
        raise ShardError(
            "token-range",
            f"{path.name} holds token {largest}, the vocabulary ends at {spec.vocabulary - 1}",
            "the tokens were made with another tokenizer than the model is sized for",
        )
    return tokens


def train(
    spec: ModelSpec,
    recipe: Recipe,
    tokens: Tokens,
    seed: int,
    device: str = "cpu",
    progress: Callable[[float, float], None] = lambda done, total: None,
) -> tuple[LanguageModel, Curve]:
    """The trained model and its loss curve.

    Sequence i predicts tokens[i·T+1 … (i+1)·T] from those before, T the context. The sequences
    come in an order shuffled by ``seed`` (a step of neighbours would see one long document and
    little else) and are split into equal steps of about ``recipe.batch``; at most T tokens at the
    end are unused.
    Equal arguments give equal weights on equal hardware. Raises ShardError ``non-finite-loss``
    before the step that a NaN or infinite loss would have spoilt.
    """
    with deterministic():
        where = pick_device(device)
        model = initialise(spec, seed).to(where)
        optimiser = _optimiser(model, recipe)
        sequences = (len(tokens) - 1) // spec.context
        order = np.random.default_rng([seed, sequences]).permutation(sequences)
        places = np.arange(spec.context + 1)
        bounds = step_bounds(sequences, recipe.batch)
        seen, losses, rates = [], [], []
        for step, (first, last) in enumerate(bounds):
            rows = tokens[order[first:last, None] * spec.context + places].astype(np.int64)
            batch = torch.from_numpy(rows).to(where)
            rate = learning_rate(recipe, step, len(bounds))
            loss = model.loss(batch[:, :-1], batch[:, 1:])
            nats = loss.item()
            if not math.isfinite(nats):
                raise ShardError(
                    "non-finite-loss",
                    f"the loss is {nats} at step {step + 1} of {len(bounds)}, seed {seed}",
                    "lower the learning rate; this trial is not ranked",
                )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()
            seen.append(last * spec.context)
            losses.append(nats)
            rates.append(rate)
            progress(step + 1, len(bounds))
    return model, Curve(tuple(seen), tuple(losses), tuple(rates))


def step_bounds(sequences: int, batch: int) -> list[tuple[int, int]]:
    """Consecutive ranges that cover ``sequences``, none above ``batch``, sizes within one."""
    edges = np.linspace(0, sequences, math.ceil(sequences / batch) + 1).round().astype(int).tolist()
    return list(pairwise(edges))


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Linear warm-up to the peak, then linear to zero, reached just after the last step."""
    warmup = max(1, round(recipe.warmup * steps))
    if step < warmup:
        return recipe.learning_rate * (step + 1) / (warmup + 1)
    return recipe.learning_rate * (steps - step) / (steps - warmup + 1)


def _optimiser(model: LanguageModel, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW (β .9, .95); matrices decay, norms do not."""
    norms = [weight for name, weight in model.named_parameters() if "norm" in name]
    matrices = [weight for name, weight in model.named_parameters() if "norm" not in name]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": norms, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.95), fused=True)
