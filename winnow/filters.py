"""Installed steps by their name in manifests, to be called on tables in memory.

``winnow.filters.gopher_quality(min_stop_words=3)`` takes the parameters that a manifest takes, and
makes a ``TableStep``. ``dir(winnow.filters)`` lists them all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from pipeline.manifest.registry import Registry
from pipeline.manifest.wording import did_you_mean
from winnow.in_memory import TableStep


@cache
def _registry() -> Registry:
    return Registry.installed()


def __getattr__(name: str) -> Callable[..., TableStep]:
    if name.startswith("_") or name not in _registry().step_names:
        hint = did_you_mean(name, _registry().step_names, "there are")
        raise AttributeError(f"winnow.filters has no step {name!r}; {hint}")
    step = _registry().step(name)

    def make(**parameters: Any) -> TableStep:
        return TableStep(name, step(**parameters))

    make.__name__, make.__doc__ = name, step.__doc__
    return make


def __dir__() -> list[str]:
    return _registry().step_names
