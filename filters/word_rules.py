"""Threshold filters that read words, in any language that words are known of."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

import kernels.words
from winnow import Docs, ManifestView, Problem, ThresholdFilter


class WordRules(ThresholdFilter):
    """A ThresholdFilter whose signals come from words."""

    language: str = Field(
        "en", description='whose words: an ISO 639 code, with or without a script ("srp_Cyrl")'
    )

    def check(self, view: ManifestView) -> Iterator[Problem]:
        try:
            self._require_language()
        except kernels.words.LanguageUnavailable as error:
            yield Problem(("language",), "no-tokenizer", str(error), error.hint)

    def words(self, docs: Docs) -> kernels.words.Words:
        """The words of ``docs``, shared with the steps fused in one task."""
        return docs.derive(f"words:{self.language}", kernels.words.words_of(self.language))

    def _require_language(self) -> None:
        kernels.words.tokenizer_of(self.language)
