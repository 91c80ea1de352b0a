"""Manual pages read as text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.manual_pages import plain_text, unescape

PAGE = r""".\" a comment
.TH LS "1" "September 2022" "GNU coreutils 9.1"
.de Xx
never shown
..
.SH NAME
ls \- list directory contents
.SH "SEE ALSO"
.BR cat (1),
.I "two words"
.PP
\fB\-a\fR, \f[I]all\fR \(bu \*(L"x\*(R" \\(em
.IP "first" 4
tail \[u00E9]\&. \" gone
"""

MDOC = """.Dd May 1, 2020
.Dt CAT 1
.Sh NAME
.Nm cat
.Nd join files
.Sh OPTIONS
.Fl n
.Ar file
"""


def test_a_page_of_the_man_macros() -> None:
    assert plain_text(PAGE) == (
        "LS(1)\n\nNAME\n\nls - list directory contents\n\nSEE ALSO\n\ncat(1),\ntwo words\n\n"
        '-a, all • "x" (em\n\nfirst\ntail é.\n'
    )


def test_a_page_of_the_mdoc_macros() -> None:
    text = plain_text(MDOC)
    assert text == "CAT(1)\n\nNAME\n\ncat\njoin files\n\nOPTIONS\n\n-n\nfile\n"


def test_a_page_that_only_points_to_another_is_blank() -> None:
    assert plain_text(".so man1/ls.1\n").strip() == ""


@given(st.text(st.sampled_from("ab \\fBR()[]*'\"-s+1u.\n")))
def test_any_text_can_be_read(text: str) -> None:
    assert plain_text(text).endswith("\n")


@given(st.text(st.characters(exclude_characters="\\")))
def test_text_without_escapes_stays(text: str) -> None:
    assert unescape(text) == text
