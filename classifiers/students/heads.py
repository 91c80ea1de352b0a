"""Heads on embeddings: plain arrays, applied in numpy alone, so nothing is unpickled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from winnow import ShardError

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Head:
    """``weights[i]`` [in, out] and ``biases[i]`` [out] of one or two layers, with max(0, x) between
    them, over features less ``mean`` [dim] times ``scale`` [dim].

    ``softmax`` makes probabilities of the last layer's outputs, which else are estimates of them.
    """

    mean: Floats
    scale: Floats
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    softmax: bool

    def outputs(self, features: Rows) -> Floats:
        """[rows, labels], which add up to 1."""
        values = self._raw(features)
        if not self.softmax:
            return values
        values = np.exp(values - values.max(1, keepdims=True))
        return np.asarray(values / values.sum(1, keepdims=True), dtype=np.float32)

    def slopes(self, features: Rows) -> npt.NDArray[np.float64]:
        """How much each of the last layer's outputs rises with each feature [dim, labels].

        The mean over documents with these ``features`` [rows, dim]: a layer of max(0, x) has
        another slope for each.
        """
        slope = self.weights[0].astype(np.float64)
        if len(self.weights) > 1:
            hidden = _dense((features - self.mean) * self.scale, self.weights[0], self.biases[0])
            slope = (slope * (hidden > 0).mean(0)) @ self.weights[1].astype(np.float64)
        return np.asarray(slope * self.scale[:, None].astype(np.float64))

    def _raw(self, features: Rows) -> Floats:
        values = (features.astype(np.float32) - self.mean) * self.scale
        for number, (weights, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = _dense(np.maximum(values, 0) if number else values, weights, bias)
        return values

    def save(self, path: Path, about: dict[str, Any]) -> None:
        """As safetensors; ``about`` (JSON values) goes into its metadata."""
        arrays = {"mean": self.mean, "scale": self.scale}
        for number, (weights, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            arrays |= {f"weights.{number}": weights, f"bias.{number}": bias}
        # One key, as metadata are written in no order.
        metadata = json.dumps({**about, "softmax": self.softmax}, sort_keys=True)
        save_file(arrays, path, {"winnow": metadata})


def load_head(path: Path) -> Head:
    """Raises ShardError where the file is no head."""
    try:
        with safe_open(str(path), "np") as file:
            about = json.loads((file.metadata() or {})["winnow"])
            names = set(file.keys())
            arrays = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ShardError("bad-student", f"{path.name} is no head: {error}", "train again") from None
    layers = range(sum(name.startswith("weights.") for name in names))
    head = Head(
        arrays["mean"],
        arrays["scale"],
        tuple(arrays[f"weights.{number}"] for number in layers),
        tuple(arrays[f"bias.{number}"] for number in layers),
        bool(about["softmax"]),
    )
    sizes = [len(head.mean), *(len(bias) for bias in head.biases)]
    shapes = [weights.shape for weights in head.weights]
    if shapes != list(pairwise(sizes)) or len(head.scale) != sizes[0]:
        message = f"{path.name} is no head: its layers do not fit together"
        raise ShardError("bad-student", message, "train again")
    return head


def _dense(values: Floats, weights: Floats, bias: Floats) -> Floats:
    """``values @ weights + bias``, added up in one order for every row.

    A product of matrices is faster, but its last bits depend on how many rows there are.
    """
    found = np.repeat(bias[None].astype(np.float32), len(values), axis=0)
    for column in range(len(weights)):
        found += values[:, column, None] * weights[column]
    return found
