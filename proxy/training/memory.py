"""Whether a model can be trained on this machine, estimated without torch."""

from __future__ import annotations

import os
from pathlib import Path

from proxy.training.sizes import ModelSpec, Recipe, default_recipe, model_spec

# Sizes that are offered instead of one that does not fit, smallest first.
LADDER = ("100k", "300k", "1m", "3m", "10m", "30m", "100m", "300m", "1b")

# Weight, gradient and AdamW's two moments, each in float32.
_BYTES_PER_PARAMETER = 16
# What one block keeps of a token until its gradients are made, in floats per unit of width: the
# inputs of its norms, matrices and products (about 17), and those of SwiGLU (4 · 8/3).
_FLOATS_PER_WIDTH = 28
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def training_bytes(spec: ModelSpec, recipe: Recipe) -> int:
    """Memory that one trial needs: weights with their optimiser, and one batch's activations."""
    per_token = 4 * _FLOATS_PER_WIDTH * spec.width * spec.depth
    return _BYTES_PER_PARAMETER * spec.parameters + recipe.batch * spec.context * per_token


def machine_bytes() -> int:
    """Memory of this machine, or of the container where that has less."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _CGROUP_LIMITS:
        text = path.read_text().strip() if path.is_file() else ""
        if text.isdigit():
            found.append(int(text))
    return min(found)


def fitting_sizes(tokens: int, available: int) -> list[str]:
    """The sizes of LADDER, with their default vocabularies, of which one trial on ``tokens`` fits
    into ``available`` bytes."""
    specs = {size: model_spec(size) for size in LADDER}
    return [
        size
        for size, spec in specs.items()
        if training_bytes(spec, default_recipe(spec, tokens)) <= available
    ]
