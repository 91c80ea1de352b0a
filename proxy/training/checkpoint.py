"""Checkpoints: a Hugging Face folder whose weights are checked against a digest when read.

``config.json``, ``model.safetensors`` and ``model.safetensors.sha256`` (the format of
``sha256sum``). Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from safetensors.torch import load, save

from proxy.training.model import LanguageModel, config
from proxy.training.sizes import ModelSpec
from winnow import ShardError

WEIGHTS = "model.safetensors"
DIGEST = f"{WEIGHTS}.sha256"
CONFIG = "config.json"

_HINT = "train it again: remove the folder, or let the next run find that its receipt is broken"


def save_checkpoint(model: LanguageModel, folder: Path) -> None:
    """Write ``model`` into ``folder`` (made on need); equal weights give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    # One metadata entry alone: safetensors keeps them in a hash map of random order.
    weights = save(model.export(), metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(config(model.spec), indent=2, sort_keys=True) + "\n")
    (folder / WEIGHTS).write_bytes(weights)
    (folder / DIGEST).write_text(f"{hashlib.sha256(weights).hexdigest()}  {WEIGHTS}\n")


def load_checkpoint(folder: Path) -> LanguageModel:
    """The model in ``folder``. ShardError ``checkpoint`` when the weights are not those that were
    written (truncated, edited) or are not those of the configuration."""
    expected = (folder / DIGEST).read_text().split()[0]
    weights = (folder / WEIGHTS).read_bytes()
    actual = hashlib.sha256(weights).hexdigest()
    if actual != expected:
        raise ShardError(
            "checkpoint",
            f"{WEIGHTS} has {len(weights)} bytes and sha256 {actual[:12]}…, not {expected[:12]}…",
            _HINT,
        )
    model = LanguageModel(_spec(json.loads((folder / CONFIG).read_text())))
    try:
        model.restore(load(weights))
    except ValueError as error:
        raise ShardError("checkpoint", f"{WEIGHTS} does not fit {CONFIG}: {error}", _HINT) from None
    return model


def _spec(values: dict[str, int]) -> ModelSpec:
    return ModelSpec(
        vocabulary=values["vocab_size"],
        width=values["hidden_size"],
        depth=values["num_hidden_layers"],
        heads=values["num_attention_heads"],
        ffn=values["intermediate_size"],
        context=values["max_position_embeddings"],
    )
