"""A language model of 230,000 seeded random parameters, shaped like Qwen3, that gives grades.

Of all tokens that may follow a prompt, the digits 0 to 5 get most of the probability, and the more
long words there are in a prompt, the higher the grade. The rest is chance, the same each time.
"""

from __future__ import annotations

import math
import os
import shutil
import string
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CONTEXT = 2048
VOCABULARY = 1024
WIDTH = 64
# How much likelier than other tokens, in nats or little more.
LIFTS = {"012345": 7.0, "6789": 3.0, string.ascii_uppercase: 4.0}
CONSTANT, LONG = 0, 1  # dimensions of hidden states
READING = 20.0  # of LONG, in units of CONSTANT
STEEPNESS = 1.5  # nats from grade to grade for one unit of LONG
MIDDLE = 0.7  # LONG of usual documents, in units of CONSTANT
TEMPLATE = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false -%}
{{ '<think>\\n\\n</think>\\n\\n' }}
{%- endif -%}
{%- endif -%}"""


def make_tiny_model(
    folder: Path,
    texts: Iterable[str] | None = None,
    seed: int = 0,
    lifts: Mapping[str, float] = LIFTS,
) -> Path:
    """A folder that transformers and vLLM read: weights, tokenizer and chat template.

    The tokenizer (byte-level BPE) is trained on ``texts``, by default the licence of this project.
    A judge that answers with letters has other ``lifts``: characters → logit.
    """
    licence = Path(__file__).parents[2] / "LICENSE"
    tokenizer = make_tokenizer(texts or licence.read_text().splitlines(keepends=True))
    tokenizer.save_pretrained(folder)
    make_network(tokenizer, seed, lifts).save_pretrained(folder)
    return folder


def shared_tiny_model(folder: Path) -> Path:
    """The model under ``folder``, made by whoever comes first of processes that may run at once."""
    path = folder / "tiny-model"
    if not path.exists():
        making = Path(tempfile.mkdtemp(dir=folder))
        make_tiny_model(making)
        try:
            os.rename(making, path)
        except OSError:  # another process was faster
            shutil.rmtree(making)
    return path


def make_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=list(SPECIAL),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL),
        chat_template=TEMPLATE,
        model_max_length=CONTEXT,
    )


def make_network(
    tokenizer: PreTrainedTokenizerFast, seed: int, lifts: Mapping[str, float] = LIFTS
) -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    network = Qwen3ForCausalLM(config)
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() == 2:
                weight.copy_(torch.randn(weight.shape, generator=chance) / math.sqrt(WIDTH))
        _count_long_words(network, tokenizer)
        _answer_in_labels(network, tokenizer, lifts)
    return network.eval()


def _count_long_words(network: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Hidden states get a dimension CONSTANT, and one, LONG, for how much of what was read up to
    there are tokens of four letters and more."""
    embedding = network.model.embed_tokens.weight
    words = [tokenizer.decode([number]).strip() for number in range(len(tokenizer))]
    embedding[:, CONSTANT] = 3.0
    embedding[:, LONG] = torch.tensor([1.0 if len(w) >= 4 and w.isalpha() else 0.0 for w in words])
    for layer in network.model.layers:
        layer.self_attn.o_proj.weight[[CONSTANT, LONG]] = 0.0
        layer.mlp.down_proj.weight[[CONSTANT, LONG]] = 0.0
    first = network.model.layers[0].self_attn
    first.q_norm.weight.fill_(0.01)  # a mean over all tokens
    first.v_proj.weight[0] = 0.0
    first.v_proj.weight[0, LONG] = 1.0
    first.o_proj.weight[LONG, 0] = READING
    network.model.layers[1].self_attn.q_norm.weight.fill_(2.0)  # some tokens tell


def _answer_in_labels(
    network: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, lifts: Mapping[str, float]
) -> None:
    """Lift the labels' logits by CONSTANT, and those of high grades by LONG."""
    head = network.lm_head.weight
    head[:, [CONSTANT, LONG]] = 0.0
    for tokens, lift in lifts.items():
        head[tokenizer.convert_tokens_to_ids(list(tokens)), CONSTANT] = lift
    for grade in range(6):
        number = tokenizer.convert_tokens_to_ids(str(grade))
        head[number, LONG] = STEEPNESS * (grade - 2.5)
        head[number, CONSTANT] -= STEEPNESS * (grade - 2.5) * MIDDLE
