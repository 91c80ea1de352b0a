"""Which class a name of a datatrove block means, and which classes can be no step."""

from __future__ import annotations

import inspect
import random
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from winnow import WinnowError, did_you_mean, named_object

if TYPE_CHECKING:
    from datatrove.pipeline.base import PipelineStep

Kind = Literal["filter", "formatter", "extractor"]

PACKAGE = "datatrove"
# Modules whose classes need no module before their name.
_SHORT = ("filters", "extractors", "formatters")
# What datatrove has beside filters, by its package → what a manifest has for it.
_INSTEAD = {
    "readers": "sources read documents: sources: {NAME: {format: jsonl, paths: …}}",
    "writers": "a run writes what it keeps into corpus/, and what it drops beside it",
    "dedup": "use the steps exact_dedup and minhash_dedup",
    "decont": "use the step decontaminate",
    "stats": "use winnow measure, which stores what filters measure",
    "tokens": "mixes are tokenised by the proxy",
    "media": "documents are text here",
    "inference": "use the step label",
}


def find_block(name: str, folder: Path) -> type[PipelineStep]:
    """The filter, extractor or formatter of a name: ``GopherQualityFilter``, ``module:Class``, or
    ``FILE.py:CLASS`` relative to ``folder``.

    Raises WinnowError for a name of nothing, or of something else.
    """
    found = named_object(name, folder) if ":" in name else _short(name)
    base = import_module("datatrove.pipeline.base").PipelineStep
    if not isinstance(found, type) or not issubclass(found, base):
        message = f"{name} is no block of datatrove's: it does not derive from PipelineStep"
        raise WinnowError("not-a-block", message, "derive it from BaseFilter, and give it filter()")
    kind = kind_of(found)
    if kind is None:
        place = found.__module__.split(".")
        package = place[2] if place[0] == PACKAGE and len(place) > 2 else ""
        message = f"{found.__name__} is neither a filter nor an extractor nor a formatter"
        hint = _INSTEAD.get(package, "derive it from BaseFilter, BaseExtractor or BaseFormatter")
        raise WinnowError("not-a-filter", message, hint)
    _require_no_more_than(found, kind)
    _require_packages(found)
    return found


def kind_of(block: type[PipelineStep]) -> Kind | None:
    """What a block does with documents; None for one that is of none of the three kinds."""
    for kind, base in _bases().items():
        if issubclass(block, base):
            return kind
    return None


def is_datatroves(block: type[PipelineStep]) -> bool:
    """Whether datatrove itself has the class."""
    return block.__module__.partition(".")[0] == PACKAGE


_REQUIRED = "_requires_dependencies"


def required_packages(block: type[PipelineStep]) -> list[tuple[str, str]]:
    """The packages that a block says it needs: the name to import, and the one to install."""
    listed = [name for kind in block.__mro__ for name in vars(kind).get(_REQUIRED, ())]
    pairs = [name if isinstance(name, tuple) else (name, name) for name in listed]
    return sorted({(str(module), str(package)) for module, package in pairs})


def depends_on_order(block: PipelineStep) -> str:
    """Why what a block decides follows from the documents before, and what to do; "" if nothing
    shows that it does."""
    mine = {kind.__name__ for kind in type(block).__mro__ if kind.__module__.startswith(PACKAGE)}
    if "C4BadWordsFilter" in mine:
        hint = "use the step c4_badwords, which spares documents by a hash of their ids"
        return hint if block.keep_fraction > 0 else ""
    if "PIIFormatter" in mine:
        used = [
            *(block.emails_replacer.replacements[1:] if block.remove_emails else ()),
            *(block.ip_replacer.replacements[1:] if block.remove_ips else ()),
        ]
        hint = "give one email_replacement and one ip_replacement, or use the step pii"
        return hint if used else ""
    if "Trafilatura" in mine and block.deduplicate:
        return "write deduplicate: false: it counts passages of documents that came before"
    drawing = [name for name, value in vars(block).items() if _draws(value)]
    if drawing and "SamplerFilter" in mine:
        return "use the step sampler, which draws by a hash of the document's id"
    return f"{drawing[0]} draws random numbers in turn; hash the document's id" if drawing else ""


def settle(block: PipelineStep) -> None:
    """Take out of a block of datatrove's what would make its results differ from machine to
    machine, or between the first documents of a process and later ones."""
    if hasattr(block, "tldextractor"):
        # It would ask a server for public suffixes, and decide by what that says today.
        from tldextract import TLDExtract

        block.tldextractor = TLDExtract(cache_dir=None, suffix_list_urls=())
    if hasattr(block, "language"):
        # spaCy's tokenizer keeps this word whole in the first text that holds it, in no other.
        words = import_module("datatrove.utils.text")
        words.split_into_words("IS_ALPHA", block.language)


def _draws(value: Any) -> bool:
    """Whether a value is a generator of random numbers, or a method of one."""
    owner = getattr(value, "__self__", value)
    return isinstance(owner, np.random.Generator | np.random.RandomState | random.Random)


def _bases() -> dict[Kind, Any]:
    return {
        "filter": import_module("datatrove.pipeline.filters.base_filter").BaseFilter,
        "extractor": import_module("datatrove.pipeline.extractors.base").BaseExtractor,
        "formatter": import_module("datatrove.pipeline.formatters.base").BaseFormatter,
    }


def _short(name: str) -> object:
    modules = [import_module(f"{PACKAGE}.pipeline.{package}") for package in _SHORT]
    bases = tuple(_bases().values())
    known = {
        key: value
        for module in modules
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, bases)
    }
    if name in known:
        return known[name]
    for package in _INSTEAD:
        with suppress(ImportError):  # which may need what is not installed
            if found := vars(import_module(f"{PACKAGE}.pipeline.{package}")).get(name):
                return found
    message = f"datatrove has no filter, extractor or formatter {name!r}"
    hint = did_you_mean(name, known, "it has")
    joint = " for others" if hint.endswith("?") else "; for others"
    raise WinnowError("unknown-block", message, f"{hint}{joint} write module:Class")


def _require_no_more_than(block: type[PipelineStep], kind: Kind) -> None:
    """Raises WinnowError where the one method that is called here is not what the block does."""
    if inspect.isabstract(block):
        missing = ", ".join(sorted(block.__abstractmethods__))
        message = f"{block.__name__} is abstract: it has no {missing}"
        raise WinnowError("abstract-block", message, "name a class that derives from it")
    if block.run is not _bases()[kind].run:
        message = f"{block.__name__} has a run() of its own, which a step does not call"
        hint = "move what it does into filter(), extract() or format()"
        raise WinnowError("own-run", message, hint)


def _require_packages(block: type[PipelineStep]) -> None:
    """Raises WinnowError for packages that are not there, or lack something themselves."""
    check = import_module("datatrove.utils._import_utils").check_required_dependencies
    packages = required_packages(block)
    try:
        check(block.__name__, packages)
        for module, _ in packages:
            import_module(module)
    except ImportError as error:
        message = f"{block.__name__} needs a package that is not there"
        hint = str(error)
        if "fasttext" in hint:
            hint = f"the steps language and score run fastText's models; or else: {hint}"
        raise WinnowError("missing-package", message, hint) from error
