"""Documents chosen, or edited, by a regular expression that takes linear time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pydantic import Field

from winnow import Docs, FilterResult, ManifestView, Problem, RowStep

_BACKTRACKING = (
    "regular expressions are RE2's, which take linear time and so have no lookaround, "
    "backreferences, atomic groups or possessive repetition"
)
# What RE2 says → what to do about it.
_HINTS = {
    "invalid perl operator: (?": _BACKTRACKING,
    "invalid escape sequence: \\Z": "write \\z for the end of the text",
    "invalid escape sequence": _BACKTRACKING,
    "bad repetition operator": _BACKTRACKING,
    "invalid repetition size": "repeat at most 1,000 times in all",
    "pattern too large": "write a shorter one: repetition multiplies its size",
}
_SYNTAX = "see github.com/google/re2/wiki/Syntax"


class Regex(RowStep):
    """Drop documents in which a regular expression matches, or replace what it matches.

    With ``exclude: false`` those are dropped in which it does not match. With ``replacement`` none
    is dropped. The syntax is RE2's, as Arrow has it: time is linear in the text whatever the
    expression, at worst 0.1 MB/s for those with hundreds of optional parts. Unlike Python's ``re``,
    which datatrove's ``RegexFilter`` uses, ``\\d \\w \\s \\b`` mean ASCII (``\\p{Nd}``,
    ``\\p{L}`` do not), and ``$`` is the very end of the text unless ``(?m)`` is set.
    """

    regex_exp: str = Field(
        min_length=1, description="expression to look for anywhere in the text, in RE2's syntax"
    )
    exclude: bool = Field(
        True, description="drop documents with a match; if false, those without one"
    )
    ignore_case: bool = Field(False, description="let capitals match small letters")
    replacement: str | None = Field(
        None,
        description="put this in place of every match and drop nothing; \\0 is the match, "
        "\\1 what its first group holds",
    )

    def check(self, view: ManifestView) -> Iterator[Problem]:
        one = pa.array([""], pa.large_string())
        try:
            self._matches(one)
        except pa.ArrowInvalid as error:
            reason = str(error).removeprefix("Invalid regular expression: ")
            hint = next((hint for sign, hint in _HINTS.items() if reason.startswith(sign)), _SYNTAX)
            message = f"{self.regex_exp!r} is no expression that can be used: {reason}"
            yield Problem(("regex_exp",), "bad-regex", message, hint)
            return
        if self.replacement is not None:
            try:
                self._replaced(one, self.replacement)
            except pa.ArrowInvalid as error:
                reason = str(error).removeprefix("Invalid replacement string: ")
                message = f"{self.replacement!r} cannot replace a match: {reason}"
                hint = "\\0 to \\9 are groups, \\\\ is a backslash"
                yield Problem(("replacement",), "bad-replacement", message, hint)

    def edits_text(self) -> bool:
        return self.replacement is not None

    def filter(self, docs: Docs) -> FilterResult:
        import pyarrow.compute as pc

        if self.replacement is not None:
            text = self._replaced(docs.text, self.replacement)
            changed = pc.not_equal(text, docs.text).to_numpy(zero_copy_only=False)
            keep = np.ones(len(docs), dtype=np.bool_)
            return FilterResult(keep, signals={"regex_replaced": changed}, text=text)
        matches = self._matches(docs.text).to_numpy(zero_copy_only=False)
        reason = "regex_match" if self.exclude else "regex_no_match"
        return FilterResult(matches != self.exclude, reason, {"regex_match": matches})

    def _matches(self, text: pa.LargeStringArray) -> pa.BooleanArray:
        import pyarrow.compute as pc

        return pc.match_substring_regex(text, self.regex_exp, ignore_case=self.ignore_case)

    def _replaced(self, text: pa.LargeStringArray, replacement: str) -> pa.LargeStringArray:
        import pyarrow.compute as pc

        expression = f"(?i){self.regex_exp}" if self.ignore_case else self.regex_exp
        return pc.replace_substring_regex(text, expression, replacement)
