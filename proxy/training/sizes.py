"""One dial: from ``model: 1m`` to a shape, and from a shape to the defaults of its training.

Imports no torch, so that a plan can be made without it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

_PREFIX = {"k": 10**3, "m": 10**6, "b": 10**9}
SMALLEST = 100_000

# Width per layer lies between 10 and 64 (nanochat's), from 32 on where models grow large enough for
# it. Two layers at least: with one, attention cannot build on attention.
_MAX_ASPECT, _MIN_DEPTH = 64, 2


@dataclass(frozen=True)
class ModelSpec:
    """The shape of a Qwen3 block stack with tied embeddings. ``context`` is T, in tokens."""

    vocabulary: int
    width: int
    depth: int
    heads: int
    ffn: int
    context: int

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def parameters(self) -> int:
        """All weights; the embedding counts once, since the output layer shares it."""
        attention = 4 * self.width**2 + 2 * self.head_width
        block = attention + 3 * self.width * self.ffn + 2 * self.width
        return self.vocabulary * self.width + self.depth * block + self.width

    def flops(self, tokens: int) -> int:
        """Floating-point operations to train on ``tokens``: 6 per weight and token, and those of
        causal attention (half of PaLM's 12·L·d·T per token, arXiv 2204.02311, appendix B)."""
        return 6 * tokens * (self.parameters + self.depth * self.width * self.context)


@dataclass(frozen=True)
class Recipe:
    """How one model is trained. ``batch`` is in sequences of T tokens, ``warmup`` a share of the
    steps; the learning rate then falls linearly to zero (arXiv 2502.15938)."""

    learning_rate: float
    batch: int
    warmup: float = 0.05
    weight_decay: float = 0.1
    clip: float = 1.0


def parse_size(model: str) -> int:
    """Parameters meant by ``100k``, ``1.5m`` or ``30M``. ValueError for anything else, and below
    100k."""
    match = re.fullmatch(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)([kmb])", model.strip().lower())
    if match is None:
        raise ValueError(f"{model!r} is not a model size; write one like 100k, 1m or 30m")
    size = round(float(match[1]) * _PREFIX[match[2]])
    if size < SMALLEST:
        raise ValueError(f"a model of {model} is below the smallest size, 100k")
    return size


def default_vocabulary(model: str) -> int:
    """Vocabulary that keeps the embedding from eating the model."""
    size = parse_size(model)
    return 2_048 if size < 5_000_000 else 8_192 if size < 50_000_000 else 32_768


def default_context(model: str) -> int:
    """Sequence length T in tokens."""
    size = parse_size(model)
    return 128 if size < 5_000_000 else 512 if size < 50_000_000 else 1_024


def model_spec(model: str, vocabulary: int | None = None, context: int | None = None) -> ModelSpec:
    """The shape whose parameters are nearest to the size that ``model`` names.

    Widths are whole heads of 16, 32 or 64; the feed-forward width is 8/3 of the width, rounded up
    to a multiple of 16 (SwiGLU, arXiv 2002.05202). ValueError when no shape comes within a factor
    of two (a large vocabulary in a small model).
    """
    size = parse_size(model)
    vocabulary = default_vocabulary(model) if vocabulary is None else vocabulary
    context = default_context(model) if context is None else context
    if vocabulary < 2:
        raise ValueError(f"a vocabulary of {vocabulary} leaves nothing to predict")
    if context < 2:
        raise ValueError(f"a context of {context} tokens is too short to predict anything")
    head = 16 if size < 5_000_000 else 32 if size < 50_000_000 else 64
    min_aspect = 10 if size < 5_000_000 else 32
    # A block has about 12·width² parameters and a model at least width / 64 of them, so beyond this
    # width every shape has over twice the size.
    widest = min(2 * size // vocabulary, round((2 * size * _MAX_ASPECT / 12) ** (1 / 3)))
    widths = range(head, max(2 * head, widest) + 1, head)
    shapes = [_shape(size, vocabulary, width, head, min_aspect, context) for width in widths]
    best = min(shapes, key=lambda shape: (abs(shape.parameters - size), -shape.width))
    if not size / 2 <= best.parameters <= size * 2:
        raise ValueError(
            f"no shape with a vocabulary of {vocabulary} comes near {model} parameters; "
            f"the nearest has {best.parameters:,}"
        )
    return best


def default_recipe(spec: ModelSpec, tokens: int) -> Recipe:
    """Learning rate .00235·(N/108M)^(-1/3) and batch 327,680·(N/108M)^(2/3) tokens.

    A budget of few ``tokens`` shrinks the batch so that 400 steps are taken, but not below 8
    sequences, and the learning rate with its square root: 100k parameters on 500k tokens of prose
    and code ended at 3.20 bits per byte after 244 steps, at 3.03 after 488, at 2.99 after 976.
    """
    scale = spec.parameters / 108e6
    lawful = 327_680 * scale ** (2 / 3) / spec.context
    batch = max(8.0, min(lawful, tokens / spec.context / 400))
    rate = 0.00235 * scale ** (-1 / 3) * math.sqrt(min(1.0, batch / lawful))
    return Recipe(learning_rate=rate, batch=round(batch))


def _shape(
    size: int, vocabulary: int, width: int, head: int, min_aspect: int, context: int
) -> ModelSpec:
    """Of this width, the depth that comes nearest to ``size`` within the bounds of the aspect."""
    ffn = math.ceil(width * 8 / 3 / 16) * 16
    flat = ModelSpec(vocabulary, width, 0, width // head, ffn, context)
    block = replace(flat, depth=1).parameters - flat.parameters
    least = max(_MIN_DEPTH, math.ceil(width / _MAX_ASPECT))
    most = max(least, width // min_aspect)
    return replace(flat, depth=min(most, max(least, round((size - flat.parameters) / block))))
