"""Names of earlier versions, so that an error can give the name of today."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from pipeline.manifest.wording import show_text

# Keys and values of manifests.
RENAMED_WORDS: Final = {"canaries": "injection_probes"}

# What plug-ins import.
RENAMED_CLASSES: Final = {
    "BarrierStep": "GlobalStep",
    "Chapter": "ReportSection",
    "Committed": "StageOutputs",
    "Desk": "TaskContext",
    "Doors": "OutcomeWriter",
    "Evidence": "ReduceInput",
    "Outcome": "TaskResult",
    "Panel": "Block",
    "RuleStep": "ThresholdFilter",
    "Section": "Extension",
    "Site": "BuildContext",
    "Tally": "Count",
    "Verdict": "FilterResult",
    "Work": "TaskSpec",
}

# What plug-ins define, by the class of ours that they derive from.
RENAMED_MEMBERS: Final[Mapping[str, Mapping[str, str]]] = {
    "RowStep": {"judge": "filter"},
    "ThresholdFilter": {"decide": "apply"},
    "GlobalStep": {
        "observe": "map",
        "conclude": "reduce",
        "judge": "apply",
        "observed_parameters": "map_parameters",
        "chapters": "report_sections",
    },
    "Extension": {"chapters": "report_sections"},
}

# The entry points that packages offer.
RENAMED_GROUPS: Final = {"winnow.sections": "winnow.extensions"}

_MISSING = re.compile(r"(?:cannot import name|has no attribute|name) '(\w+)'")
EXTENDING: Final = "docs/extending.md shows how plug-ins are written"


def renamed_word(word: str, known: Iterable[str]) -> str:
    """A hint when a manifest has the old name of something ``known``; "" otherwise."""
    new = RENAMED_WORDS.get(word)
    return f"{show_text(word)} is called {show_text(new)} now" if new and new in known else ""


def renamed_import(error: BaseException) -> str:
    """A hint when code fails because it uses a class by its old name; "" otherwise."""
    if not isinstance(error, ImportError | AttributeError | NameError):
        return ""
    found = _MISSING.search(str(error))
    new = RENAMED_CLASSES.get(found[1]) if found else None
    return f"{found[1]} is called {new} now; {EXTENDING}" if found and new else ""


def renamed_members(plugin: type) -> list[tuple[str, str]]:
    """(old name, new name) of what a step or extension defines by an old name alone."""
    bases = {base.__name__: base for base in plugin.__mro__}
    return [
        (f"{name}.{old}", f"{name}.{new}")
        for name, members in RENAMED_MEMBERS.items()
        if name in bases
        for old, new in members.items()
        if hasattr(plugin, old)
        and getattr(plugin, new, None) is getattr(bases[name], new, None)
        and not hasattr(bases[name], old)
    ]
