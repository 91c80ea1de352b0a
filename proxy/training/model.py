"""A Qwen3-shaped language model: RMSNorm, RoPE, QK-norm, SwiGLU, tied embeddings.

Weights go out and come in under the names of ``transformers``' Qwen3ForCausalLM.
Shapes in names: B sequences, T positions, D width, H heads, E head width, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from proxy.training.sizes import ModelSpec

ROPE_BASE = 10_000.0
NORM_EPS = 1e-6

# Rows of logits that are alive at once: 128 × 2,048 floats stay in a core's cache, so the softmax
# never goes through memory. That is where a tiny model spends most of its time otherwise.
_CHUNK = 128


class Attention(nn.Module):
    """Causal self-attention with normalised queries and keys, as many key heads as heads.

    One matrix makes queries, keys and values, and queries and keys are normalised and rotated
    together: fewer and larger operations, which is what a tiny model needs.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.split = (3, spec.heads, spec.head_width)
        self.qkv_proj = nn.Linear(spec.width, 3 * spec.width, bias=False)
        self.o_proj = nn.Linear(spec.width, spec.width, bias=False)
        self.qk_norm = nn.Parameter(torch.ones(2, 1, spec.head_width))

    def forward(self, x_btd: Tensor, cos_te: Tensor, sin_te: Tensor) -> Tensor:
        batch, length, width = x_btd.shape
        qkv = self.qkv_proj(x_btd).view(batch, length, *self.split)
        qk = F.rms_norm(qkv[:, :, :2], self.split[2:], eps=NORM_EPS)
        # Scaling by the norm's weight and rotating are one pass: rotate(w·x) = (w·cos)·x + …
        half = self.split[2] // 2
        cos = self.qk_norm * cos_te[:, None, None]
        sin = self.qk_norm.roll(half, dims=-1) * sin_te[:, None, None]
        q_bthe, k_bthe = (qk * cos + qk.roll(half, dims=-1) * sin).unbind(2)
        mixed_bhte = F.scaled_dot_product_attention(
            q_bthe.transpose(1, 2),
            k_bthe.transpose(1, 2),
            qkv[:, :, 2].transpose(1, 2),
            is_causal=True,
        )
        out: Tensor = self.o_proj(mixed_bhte.transpose(1, 2).reshape(batch, length, width))
        return out


class FeedForward(nn.Module):
    """SwiGLU; one matrix makes the gate and what it lets through."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.gate_up_proj = nn.Linear(spec.width, 2 * spec.ffn, bias=False)
        self.down_proj = nn.Linear(spec.ffn, spec.width, bias=False)

    def forward(self, x_btd: Tensor) -> Tensor:
        gate, up = self.gate_up_proj(x_btd).chunk(2, dim=-1)
        out: Tensor = self.down_proj(F.silu(gate) * up)
        return out


class Block(nn.Module):
    """Attention, then the feed-forward layer, each on a normalised copy of the residual stream."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(spec.width, eps=NORM_EPS)
        self.self_attn = Attention(spec)
        self.post_attention_layernorm = nn.RMSNorm(spec.width, eps=NORM_EPS)
        self.mlp = FeedForward(spec)

    def forward(self, x_btd: Tensor, cos_te: Tensor, sin_te: Tensor) -> Tensor:
        x_btd = x_btd + self.self_attn(self.input_layernorm(x_btd), cos_te, sin_te)
        out: Tensor = x_btd + self.mlp(self.post_attention_layernorm(x_btd))
        return out


class LanguageModel(nn.Module):
    """``spec`` as a network; its weights are what ``initialise`` makes of a seed."""

    cos_te: Tensor
    sin_te: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.embed_tokens = nn.Embedding(spec.vocabulary, spec.width)
        self.layers = nn.ModuleList(Block(spec) for _ in range(spec.depth))
        self.norm = nn.RMSNorm(spec.width, eps=NORM_EPS)
        half = spec.head_width // 2
        frequency = ROPE_BASE ** (-torch.arange(half, dtype=torch.float32) / half)
        angle_te = torch.outer(torch.arange(spec.context), frequency).repeat(1, 2)
        self.register_buffer("cos_te", angle_te.cos(), persistent=False)
        # The sign of rotate-half is kept here rather than applied to half of every query and key.
        sign_e = torch.cat([-torch.ones(half), torch.ones(half)])
        self.register_buffer("sin_te", angle_te.sin() * sign_e, persistent=False)

    def hidden(self, tokens_bt: Tensor) -> Tensor:
        """Normalised last hidden states [B, T, D] of int64 tokens [B, T], T ≤ the context."""
        x_btd: Tensor = self.embed_tokens(tokens_bt)
        length = tokens_bt.shape[1]
        for block in self.layers:
            x_btd = block(x_btd, self.cos_te[:length], self.sin_te[:length])
        out: Tensor = self.norm(x_btd)
        return out

    def forward(self, tokens_bt: Tensor) -> Tensor:
        """Logits [B, T, V]."""
        return F.linear(self.hidden(tokens_bt), self.embed_tokens.weight)

    def loss(self, tokens_bt: Tensor, targets_bt: Tensor) -> Tensor:
        """Mean cross-entropy in nats per token; the logits never exist as a whole."""
        hidden_nd = self.hidden(tokens_bt).flatten(0, 1)
        return mean_cross_entropy(hidden_nd, self.embed_tokens.weight, targets_bt.flatten())

    def nats(self, tokens_bt: Tensor, targets_bt: Tensor) -> Tensor:
        """Cross-entropy [B, T] of each target, in nats."""
        hidden_nd = self.hidden(tokens_bt).flatten(0, 1)
        pieces = [
            F.cross_entropy(F.linear(hidden, self.embed_tokens.weight), targets, reduction="none")
            for hidden, targets in zip(
                torch.split(hidden_nd, _CHUNK),
                torch.split(targets_bt.flatten(), _CHUNK),
                strict=True,
            )
        ]
        return torch.cat(pieces).view(targets_bt.shape)

    def export(self) -> dict[str, Tensor]:
        """The weights under the names of Qwen3ForCausalLM; the output layer is the embedding."""
        weights: dict[str, Tensor] = {}
        for name, weight in self.state_dict().items():
            for part, piece in zip(*_parts(name, weight), strict=True):
                weights[f"model.{part}"] = piece.detach().cpu().contiguous()
        return weights

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """The inverse of ``export``. ValueError when names or shapes are not this model's."""
        missing = set(self.export()) ^ set(weights)
        if missing:
            raise ValueError(f"weights differ in {', '.join(sorted(missing))}")
        with torch.no_grad():
            for name, weight in self.state_dict().items():
                for part, piece in zip(*_parts(name, weight), strict=True):
                    source = weights[f"model.{part}"]
                    if source.shape != piece.shape:
                        raise ValueError(f"{part} is {source.shape}, not {piece.shape}")
                    piece.copy_(source)


class _MeanCrossEntropy(torch.autograd.Function):
    """Loss and its gradients in one pass over chunks of rows, so each logit is made once."""

    @staticmethod
    def forward(ctx: Any, hidden_nd: Tensor, weight_vd: Tensor, targets_n: Tensor) -> Tensor:
        rows = targets_n.shape[0]
        total = hidden_nd.new_zeros(())
        hidden_grad = torch.empty_like(hidden_nd)
        weight_grad = torch.zeros_like(weight_vd)
        for start in range(0, rows, _CHUNK):
            hidden = hidden_nd[start : start + _CHUNK]
            index = targets_n[start : start + _CHUNK].unsqueeze(1)
            logits = hidden @ weight_vd.t()
            logits -= logits.amax(dim=1, keepdim=True)
            total -= logits.gather(1, index).sum()
            p = logits.exp_()
            mass = p.sum(dim=1, keepdim=True)
            total += mass.log().sum()
            # The gradient at the logits is p / mass, less one at the target. The division is left
            # to the narrow side of the products.
            p.scatter_add_(1, index, -mass)
            torch.mm(p, weight_vd, out=hidden_grad[start : start + _CHUNK]).div_(mass)
            weight_grad.addmm_(p.t(), hidden / mass)
        ctx.save_for_backward(hidden_grad, weight_grad)
        ctx.rows = rows
        return total / rows

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        hidden_grad, weight_grad = ctx.saved_tensors
        scale = grads[0] / ctx.rows
        return hidden_grad * scale, weight_grad * scale, None


def mean_cross_entropy(hidden_nd: Tensor, weight_vd: Tensor, targets_n: Tensor) -> Tensor:
    """Mean of -log softmax(hidden · weightᵀ)[target], in nats; differentiable once."""
    loss: Tensor = _MeanCrossEntropy.apply(hidden_nd, weight_vd, targets_n)  # type: ignore[no-untyped-call]
    return loss


def initialise(spec: ModelSpec, seed: int) -> LanguageModel:
    """A model whose weights depend on ``spec`` and ``seed`` alone.

    Matrices and embeddings are normal with deviation 1/√width (for matrices 1/√fan-in), matrices
    that write into the residual stream smaller by 1/√(2·depth) (GPT-2), norms one. GPT-2's .02 for
    embeddings beside 1/√fan-in makes the blocks' outputs 5 to 12 times as large as the embeddings,
    which hides the tokens: 100k parameters after 300k tokens ended at 8.35 bits per token with
    .02 and at 7.77 with 1/√width (4 seeds, deviation between seeds .145 and .037).
    """
    model = LanguageModel(spec)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if not name.endswith("proj.weight") and name != "embed_tokens.weight":
                continue  # a norm, made of ones
            deviation = weight.shape[1] ** -0.5
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                deviation /= math.sqrt(2 * spec.depth)
            weight.normal_(0.0, deviation, generator=generator)
    return model


def config(spec: ModelSpec) -> dict[str, Any]:
    """``config.json`` of the export."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "dtype": "float32",
        "head_dim": spec.head_width,
        "hidden_act": "silu",
        "hidden_size": spec.width,
        "intermediate_size": spec.ffn,
        "max_position_embeddings": spec.context,
        "model_type": "qwen3",
        "num_attention_heads": spec.heads,
        "num_hidden_layers": spec.depth,
        "num_key_value_heads": spec.heads,
        "rms_norm_eps": NORM_EPS,
        "rope_theta": ROPE_BASE,
        "tie_word_embeddings": True,
        "use_cache": True,
        "vocab_size": spec.vocabulary,
    }


# Our fused parameters and what transformers calls their parts.
_FUSED = {
    "self_attn.qkv_proj.weight": ("q_proj.weight", "k_proj.weight", "v_proj.weight"),
    "self_attn.qk_norm": ("q_norm.weight", "k_norm.weight"),
    "mlp.gate_up_proj.weight": ("gate_proj.weight", "up_proj.weight"),
}


def _parts(name: str, weight: Tensor) -> tuple[list[str], list[Tensor]]:
    """The export names of a parameter, and views of it in the same order."""
    for fused, parts in _FUSED.items():
        if name.endswith(fused):
            stem = name.removesuffix(fused) + fused.split(".")[0]
            views = [view.squeeze() for view in weight.chunk(len(parts))]
            return [f"{stem}.{part}" for part in parts], views
    return [name], [weight]
