"""From text to the token ids that a judge reads, so that a document stays a document.

The frame around a document is tokenised with the judge's control tokens, the document without: a
``<|im_end|>`` in a web page becomes the tokens of these characters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from tokenizers import Tokenizer

from classifiers.judges.judge_config import Truncation
from winnow import Refusal, digest

# A token seldom stands for more characters than this: what is beyond need not be tokenised.
CHARACTERS_PER_TOKEN = 16
# Of a head, that much is tried first; it is enough when it makes EXTRA tokens more than wanted,
# for where a text is cut only its last tokens may be others.
USUAL_CHARACTERS_PER_TOKEN = 5
EXTRA = 64
_BREAK = "\u200b"  # zero-width space


class JudgeTokenizer:
    """The tokenizer of a judge, for frames and for documents."""

    def __init__(self, source: str | Path, revision: str = "") -> None:
        from transformers import AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                str(source), revision=revision or None, use_fast=True
            )
        except (OSError, ValueError, KeyError) as error:
            why = str(error).strip().splitlines()[0]
            hint = "server.tokenizer (or model) is a folder with tokenizer.json, or a hub name"
            raise Refusal("no-tokenizer", f"no tokenizer in {source}: {why}", hint) from error
        if not self._tokenizer.is_fast:
            hint = "convert it to tokenizer.json"
            raise Refusal("slow-tokenizer", f"{source} has no fast tokenizer", hint)
        whole = json.loads(self._tokenizer.backend_tokenizer.to_str())
        # Runs of white space are added tokens too, of some tokenizers, and no orders to anybody.
        added = [(t["id"], t["content"]) for t in whole["added_tokens"]]
        unknown = self._unknown(whole["model"])
        self.controls = {n: text for n, text in added if n != unknown and _is_control(text)}
        plain = {**whole, "added_tokens": [], "post_processor": None}
        plain |= {"truncation": None, "padding": None}
        self._plain = Tokenizer.from_str(json.dumps(plain))
        self.digest = digest([whole, self._tokenizer.chat_template])

    def _unknown(self, model: Mapping[str, Any]) -> int | None:
        """The token of characters that the vocabulary lacks, unless it has another meaning too."""
        number = model.get("unk_id")
        if number is None and model.get("unk_token"):
            number = self._tokenizer.convert_tokens_to_ids(model["unk_token"])
        ends = (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id)
        return None if number in ends else number

    def frame(self, text: str) -> list[int]:
        """Ids [n] of text of ours, control tokens included; nothing is put before or after."""
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def documents(self, texts: Sequence[str], limit: int, keep: Truncation) -> list[list[int]]:
        """Ids [documents][≤ limit] of text of others, none of them a control token.

        ``keep`` is what stays of longer ones: the head, or both ends, half and half.
        """
        usual = USUAL_CHARACTERS_PER_TOKEN if keep == "head" else CHARACTERS_PER_TOKEN
        shorter = [_shorten(text, (limit + EXTRA) * usual, keep) for text in texts]
        encoded = self._encoded(shorter)
        for place, (text, short) in enumerate(zip(texts, shorter, strict=True)):
            if len(short) < len(text) and len(encoded[place]) < limit + EXTRA:
                shorter[place] = _shorten(text, limit * CHARACTERS_PER_TOKEN, keep)
                encoded[place] = self._encoded([shorter[place]])[0]
        return [
            _fit(self._without_controls(text, ids), limit, keep)
            for text, ids in zip(shorter, encoded, strict=True)
        ]

    def _encoded(self, texts: Sequence[str]) -> list[list[int]]:
        found = self._plain.encode_batch_fast(list(texts), add_special_tokens=False)
        return [one.ids for one in found]

    def _without_controls(self, text: str, ids: list[int]) -> list[int]:
        """A vocabulary may hold a control token as an ordinary piece too: such text is broken up
        where it stands. What still becomes one, after the tokenizer's own clean-up, is left out."""
        if self.controls.keys().isdisjoint(ids):
            return ids
        for content in self.controls.values():
            if len(content) > 1:
                text = text.replace(content, content[0] + _BREAK + content[1:])
        ids = self._plain.encode(text, add_special_tokens=False).ids
        return [number for number in ids if number not in self.controls]

    def text(self, ids: Sequence[int]) -> str:
        """The text of generated ``ids``, without control tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def conversation(self, system: str, user: str, args: Mapping[str, Any]) -> str:
        """System and user message as the model's chat template writes them, up to where its
        answer begins. A model without a template gets them as plain paragraphs."""
        if self._tokenizer.chat_template is None:
            return f"{system}\n\n{user}\n\nAnswer:\n"
        whole = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        merged = [{"role": "user", "content": f"{system}\n\n{user}"}]
        try:
            return self._rendered(whole, args)
        except TemplateError:  # some templates know no system message
            return self._rendered(merged, args)

    def _rendered(self, messages: list[dict[str, str]], args: Mapping[str, Any]) -> str:
        return str(
            self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, **args
            )
        )

    def answer_ids(self, before: str, answers: Sequence[str]) -> list[int]:
        """The one token that each of ``answers`` is after the text ``before``.

        Raises Refusal when an answer is not one token there, or two answers are the same.
        """
        start = self.frame(before)
        ids = []
        for answer in answers:
            whole = self.frame(before + answer)
            if whole[:-1] != start:
                message = f"the answer {answer!r} is {len(whole) - len(start)} tokens to this model"
                hint = "take another model as the judge, or an endpoint with api: chat"
                raise Refusal("answer-not-one-token", message, hint)
            ids.append(whole[-1])
        if len(set(ids)) < len(ids):
            message = f"the tokenizer has one token for several of {', '.join(answers)}"
            raise Refusal("answer-not-one-token", message, "take another model as the judge")
        return ids


def _is_control(content: str) -> bool:
    return bool(content.replace("\u2581", " ").strip())


def _shorten(text: str, limit: int, keep: Truncation) -> str:
    """At most ``limit`` characters of ``text``, by the same rule as tokens."""
    if len(text) <= limit:
        return text
    return text[:limit] if keep == "head" else text[: limit // 2] + text[-(limit // 2) :]


def _fit(ids: list[int], limit: int, keep: Truncation) -> list[int]:
    if len(ids) <= limit:
        return ids
    tail = 0 if keep == "head" else limit // 2
    return ids[: limit - tail] + (ids[-tail:] if tail else [])
