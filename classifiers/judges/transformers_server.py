"""A judge in this process, by transformers: slower than a server, and what servers are held to.

Probabilities are those of the whole vocabulary at the one position after the prompt; neither
logits of other positions nor those of padding are ever computed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForCausalLM, DynamicCache, GenerationConfig

from winnow import ShardError

# On two cores, with 24 prompts of 500 to 1000 tokens, 16,384 took 1.5 times as long as 4,096.
BATCH_TOKENS = {"cpu": 4_096, "cuda": 16_384}
# A beginning that all prompts share is read once, from this length on. In the same measurement a
# shared 400 tokens made it 1.3 to 1.6 times as fast, 800 tokens 1.4 to 2.3 times, 40 tokens not.
LEAST_PREFIX = 64
CACHED_LAYERS = {"full_attention", "sliding_attention"}

Prompts = Sequence[Sequence[int]]


class TransformersServer:
    """``model`` is a folder, or a name on the hub with its ``revision``. Raises ShardError
    ``model-unreadable`` when that is no model.

    ``device`` "auto" is a GPU where there is one; ``dtype`` "auto" is bfloat16 there and float32
    on a processor. A batch holds ``batch_tokens`` tokens at most (default by device), and
    one prompt at least.
    """

    def __init__(
        self,
        model: str | Path,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int | None = None,
    ) -> None:
        self.name = str(model)
        self.revision = revision
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if dtype == "auto":
            dtype = "float32" if device == "cpu" else "bfloat16"
        self.device = torch.device(device)
        self.batch_tokens = batch_tokens or BATCH_TOKENS.get(self.device.type, 4_096)
        try:
            network = AutoModelForCausalLM.from_pretrained(
                model,
                revision=revision or "main",
                dtype=getattr(torch, dtype),
                use_safetensors=True,  # nothing pickled
            )
        except (OSError, ValueError, KeyError) as error:  # missing, broken, or of unknown kind
            message = f"{model} cannot be read as a language model: {str(error)[:500]}"
            hint = "name a folder with config.json and safetensors, or a model and its revision"
            raise ShardError("model-unreadable", message, hint) from error
        self._network: Any = network.to(self.device).eval()
        ends = network.generation_config.eos_token_id
        self._ends = ends if isinstance(ends, list) else [ends] if ends is not None else []
        # A model's own settings ask for sampling and penalties, also where ours are silent.
        network.generation_config = GenerationConfig()
        config = network.config.get_text_config()
        self.max_length = int(config.max_position_embeddings)
        layers = set(getattr(config, "layer_types", None) or {"full_attention"})
        self._caches = layers <= CACHED_LAYERS

    @torch.inference_mode()
    def logprobs(self, prompts: Prompts, label_ids: Sequence[int]) -> npt.NDArray[np.float64]:
        """Natural-log probabilities [prompts, labels] of each label token as the next one.

        Raises ValueError for an empty prompt and for one that leaves no room for an answer.
        """
        self._check(prompts, 1)
        found = np.empty((len(prompts), len(label_ids)))
        prefix = shared_prefix(prompts) if self._caches else 0
        cached = self._read(prompts[0][:prefix]) if prefix >= LEAST_PREFIX else None
        start = prefix if cached is not None else 0
        for rows in batches([len(p) - start for p in prompts], self.batch_tokens):
            parts = [prompts[row][start:] for row in rows]
            # Padding comes last, where no token before it looks: no mask is needed.
            ids = padded(parts, left=False).to(self.device)
            last = torch.tensor([len(part) - 1 for part in parts], device=self.device)
            past = copy.deepcopy(cached)
            if past is not None:
                past.batch_repeat_interleave(len(rows))
            with only_at(self._network, last):
                logits = self._network(
                    input_ids=ids, past_key_values=past, use_cache=past is not None
                ).logits[:, 0]
            scores = torch.log_softmax(logits.float(), dim=-1)
            found[rows] = scores[:, list(label_ids)].double().cpu().numpy()
        return found

    @torch.inference_mode()
    def generate(self, prompts: Prompts, max_tokens: int) -> list[list[int]]:
        """What follows each prompt, always the likeliest token, up to and without the end token.

        Raises ValueError for an empty prompt and for one without room for ``max_tokens``.
        """
        self._check(prompts, max_tokens)
        greedy = GenerationConfig(
            max_new_tokens=max_tokens,
            do_sample=False,
            eos_token_id=self._ends or None,
            pad_token_id=0,
        )
        generated: list[list[int]] = [[] for _ in prompts]
        for rows in batches([len(p) + max_tokens for p in prompts], self.batch_tokens):
            parts = [prompts[row] for row in rows]
            ids = padded(parts, left=True).to(self.device)
            mask = padded([[1] * len(part) for part in parts], left=True).to(self.device)
            out = self._network.generate(ids, attention_mask=mask, generation_config=greedy)
            for row, tokens in zip(rows, out[:, ids.shape[1] :].tolist(), strict=True):
                end = next(
                    (n for n, token in enumerate(tokens) if token in self._ends), len(tokens)
                )
                generated[row] = tokens[:end]
        return generated

    def _read(self, prefix: Sequence[int]) -> DynamicCache:
        """Keys and values of a beginning that all prompts share."""
        cache = DynamicCache(config=self._network.config)
        ids = torch.tensor([list(prefix)], device=self.device)
        with only_at(self._network, torch.tensor([len(prefix) - 1], device=self.device)):
            self._network(input_ids=ids, past_key_values=cache, use_cache=True)
        return cache

    def _check(self, prompts: Prompts, room: int) -> None:
        for number, prompt in enumerate(prompts):
            if not prompt:
                raise ValueError(f"prompt {number} is empty")
            if len(prompt) + room > self.max_length:
                raise ValueError(
                    f"prompt {number} has {len(prompt)} tokens, {room} are to follow, and the "
                    f"model takes {self.max_length}"
                )


@contextmanager
def only_at(network: Any, positions: torch.Tensor) -> Iterator[None]:
    """Have the network compute logits [rows, 1, vocabulary] for one position of each row.

    By what reaches its output layer: models differ in what they make of logits thereafter, and
    ``logits_to_keep`` means the same positions for all rows.
    """

    def pick(layer: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        (hidden,) = given
        return (hidden[torch.arange(len(positions), device=hidden.device), positions][:, None],)

    hook = network.get_output_embeddings().register_forward_pre_hook(pick)
    try:
        yield
    finally:
        hook.remove()


def batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Rows of similar length, together at most ``tokens`` with padding; a single one may be more.

    The longest come first: if memory does not suffice, that shows at once.
    """
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def shared_prefix(prompts: Prompts) -> int:
    """How many tokens all prompts begin with; a token of each is left for after them."""
    if len(prompts) < 2:
        return 0
    low, high = min(map(tuple, prompts)), max(map(tuple, prompts))
    same = next((n for n, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return min(same, min(map(len, prompts)) - 1)


def padded(rows: Prompts, left: bool) -> torch.Tensor:
    """Token ids [rows, longest] of rows filled up with zeros."""
    longest = max(map(len, rows))
    filled = np.zeros((len(rows), longest), dtype=np.int64)
    for number, row in enumerate(rows):
        filled[number, longest - len(row) if left else 0 :][: len(row)] = row
    return torch.from_numpy(filled)
