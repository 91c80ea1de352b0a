"""Manual pages to running text: enough of roff for reading, not for typesetting."""

from __future__ import annotations

import re

_ESCAPE = re.compile(
    r"""\\(?:
      f(?:\[[^\]]*\]|\(..|.)            # font
    | s[-+]?(?:\d{1,2}|\[[^\]]*\])      # size
    | [mMFkvh](?:\[[^\]]*\]|\(..|'[^']*'|.)  # colour, family, motion
    | \((?P<two>..) | \[(?P<long>[^\]]*)\]   # special character
    | \*(?:\((?P<string>..)|\[(?P<named>[^\]]*)\]|(?P<short>.))
    | "(?P<comment>.*)$
    | (?P<one>.)
    )""",
    re.VERBOSE,
)
_SPECIAL = {
    "aq": "'", "dq": '"', "lq": "“", "rq": "”", "oq": "‘", "cq": "’", "bu": "•", "em": "—",
    "en": "–", "hy": "-", "mi": "−", "co": "©", "rg": "®", "tm": "™", "ha": "^", "ti": "~",
    "ga": "`", "rs": "\\", "at": "@", "sh": "#", "bv": "|", "or": "|", "mu": "×", "<=": "≤",
    ">=": "≥", "!=": "≠", "->": "→", "<-": "←", "la": "⟨", "ra": "⟩", "de": "°", "sc": "§",
}  # fmt: skip
_STRINGS = {'L"': '"', 'R"': '"', "C`": '"', "C'": '"', "--": "--", "lq": "“", "rq": "”", "Aq": "'"}
_PLAIN = {"-": "-", "e": "\\", " ": " ", "~": " ", "0": " ", "t": "\t", "'": "'", "`": "`"}
_HEADINGS = {"SH", "SS", "Sh", "Ss"}
_JOINED = {"BR", "RB", "IR", "RI", "BI", "IB"}
_SPACED = {"B", "I", "SM", "SB", "IP", "UR", "MT", "UE"}
_MDOC = re.compile(r"[A-Z][a-z]$")
_MDOC_CALLS = re.compile(r"\b(?:Ar|Cm|Ns|Op|Oc|Oo|Pa|Nm|Em|Sy|Li|Dq|Sq|Ql|Va|Ev|Xr|Fl)\b ?")
_MDOC_SILENT = {"Dd", "Os", "Bl", "El", "Bd", "Ed", "Pp", "Bk", "Ek", "Sm"}


def plain_text(source: str) -> str:
    """The text of a manual page: headings and paragraphs apart, fonts and requests gone."""
    blocks: list[list[str]] = [[]]
    inside_definition = False
    for line in source.split("\n"):
        if inside_definition:
            inside_definition = not line.startswith("..")
        elif not line.startswith((".", "'")):
            _put(blocks, unescape(line))
        else:
            name, _, rest = line[1:].strip().partition(" ")
            inside_definition = name in ("de", "ig", "am", "de1")
            _request(blocks, name, rest)
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _request(blocks: list[list[str]], name: str, rest: str) -> None:
    if name in _HEADINGS:
        blocks.append([" ".join(_arguments(rest))])
        blocks.append([])
    elif name in ("TH", "Dt"):
        blocks.append(["(".join(_arguments(rest)[:2]) + ")"])
        blocks.append([])
    elif name in _JOINED:
        _put(blocks, "".join(_arguments(rest)))
    elif name in _SPACED:
        if name == "IP":
            blocks.append([])
        _put(blocks, " ".join(_arguments(rest)[:1] if name == "IP" else _arguments(rest)))
    elif _MDOC.match(name) and name not in _MDOC_SILENT:
        text = _MDOC_CALLS.sub("", " ".join(_arguments(rest)))
        _put(blocks, f"-{text}" if name == "Fl" else text)
    elif name in ("PP", "P", "LP", "TP", "TQ", "HP", "sp", "Pp", "nf", "fi", "EX", "EE"):
        blocks.append([])


def _put(blocks: list[list[str]], text: str) -> None:
    if text.strip():
        blocks[-1].append(text.rstrip())
    elif blocks[-1]:
        blocks.append([])


def _arguments(rest: str) -> list[str]:
    """Words of a request; a quoted word may hold spaces."""
    words = re.findall(r'"((?:[^"]|"")*)"?|((?:\\.|[^\s"\\])[^\s]*)', rest)
    return [unescape((quoted or bare).replace('""', '"')) for quoted, bare in words]


def unescape(text: str) -> str:
    """``text`` with roff's escapes replaced by the characters they stand for."""
    return _ESCAPE.sub(_character, text)


def _character(match: re.Match[str]) -> str:
    special = match["two"] or match["long"]
    if special:
        if re.fullmatch(r"u[0-9A-F]{4,6}", special):
            return _code_point(int(special[1:], 16))
        return _SPECIAL.get(special, "")
    string = match["string"] or match["named"] or match["short"]
    if string:
        return _STRINGS.get(string, "")
    return _PLAIN.get(match["one"] or "", "")


def _code_point(number: int) -> str:
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "�"
