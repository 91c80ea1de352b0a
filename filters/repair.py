"""Text that was decoded wrongly, put right by ftfy."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

import kernels.lines
from winnow import Docs, FilterResult, RowStep

if TYPE_CHECKING:
    from ftfy import TextFixerConfig

    from kernels.lines import Lines


class Repair(RowStep):
    """Repair broken characters ("âœ”" for "✔"), entities and control characters. Drops nothing.

    The text becomes what ``ftfy.fix_text`` makes of it, with the defaults of datatrove 0.10.1's
    ``FTFYFormatter``: what was broken is mended, what is only typography stays. ftfy works line by
    line; lines of plain ASCII in which it has nothing to do are passed over.
    """

    kernels: ClassVar[tuple[str, ...]] = ("lines",)

    unescape_html: Literal["auto"] | bool = Field(
        "auto", description='turn entities into characters; auto: until a "<" is met'
    )
    remove_terminal_escapes: bool = Field(True, description="remove terminals' colour codes")
    fix_encoding: bool = Field(True, description="undo decoding with a wrong encoding")
    restore_byte_a0: bool = Field(True, description="see a space as a lost no-break space there")
    replace_lossy_sequences: bool = Field(
        True, description='mend with "�" what was lost for good in a wrong decoding'
    )
    decode_inconsistent_utf8: bool = Field(
        True, description="undo wrong decoding where only a part of the line has it"
    )
    fix_c1_controls: bool = Field(True, description="read C1 control characters as Windows-1252")
    fix_latin_ligatures: bool = Field(False, description="split ligatures such as ﬁ")
    fix_character_width: bool = Field(False, description="unify full-width and half-width forms")
    uncurl_quotes: bool = Field(False, description="make curly quotation marks straight")
    fix_line_breaks: bool = Field(False, description="make every line break a line feed")
    fix_surrogates: bool = Field(True, description="join pairs of surrogates")
    remove_control_chars: bool = Field(True, description="remove characters that nothing shows")
    normalization: Literal["NFC", "NFD", "NFKC", "NFKD"] | None = Field(
        None, description="Unicode normal form to give the text"
    )

    def edits_text(self) -> bool:
        return True

    def filter(self, docs: Docs) -> FilterResult:
        import pyarrow.compute as pc

        entities = {
            "auto": kernels.lines.SUSPECT_BEFORE_MARKUP,
            True: kernels.lines.SUSPECT,
            False: kernels.lines.PLAIN,
        }
        characters = (
            self.fix_latin_ligatures
            or self.fix_character_width
            or self.uncurl_quotes
            or self.normalization is not None
        )
        lines = kernels.lines.suspect_lines(
            docs.text,
            entities[self.unescape_html],
            breaks=self.fix_line_breaks,
            beyond_ascii=characters,
        )
        repaired = np.zeros(len(docs), dtype=np.int64)
        texts = []
        for row in np.flatnonzero(np.diff(lines.first)).tolist():
            text, repaired[row] = self._repair(lines, row)
            if repaired[row]:
                texts.append(text)
        keep = np.ones(len(docs), dtype=np.bool_)
        signals = {"repaired_lines": repaired}
        if not texts:
            return FilterResult(keep, signals=signals)
        changed = pa.array(repaired > 0)
        replaced = pc.replace_with_mask(docs.text, changed, pa.array(texts, pa.large_string()))
        return FilterResult(keep, signals=signals, text=replaced)

    def _repair(self, lines: Lines, row: int) -> tuple[bytes, int]:
        """A row's text in UTF-8, and how many of its lines are other than they were."""
        from ftfy import fix_text

        plain, marked = _configs(self)
        done = int(lines.offsets[row])
        parts, count = [], 0
        for i in range(lines.first[row], lines.first[row + 1]):
            start, end = int(lines.starts[i]), int(lines.ends[i])
            before = lines.data[start:end].tobytes()
            text = fix_text(before.decode(), marked if lines.markup[i] else plain)
            # A lone surrogate, which an option may leave, has no place in UTF-8.
            after = text.encode(errors="replace")
            if after != before:
                parts += [lines.data[done:start].tobytes(), after]
                done = end
                count += 1
        parts.append(lines.data[done : lines.offsets[row + 1]].tobytes())
        return b"".join(parts), count


@lru_cache(maxsize=16)
def _configs(step: Repair) -> tuple[TextFixerConfig, TextFixerConfig]:
    """Options for ftfy while no "<" was met in a document, and after."""
    from ftfy import TextFixerConfig

    # Without explanations ftfy 6.3.1 mends encodings by its own defaults, whatever the options.
    plain = TextFixerConfig(**step.model_dump(), explain=True)
    once_met = False if step.unescape_html == "auto" else step.unescape_html
    return plain, plain._replace(unescape_html=once_met)
