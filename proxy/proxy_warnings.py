"""What a reader must know before relying on a verdict: mixes and targets that lack text, and cuts
where scores hardly differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from proxy.mixing.targets import MIN_DOCUMENTS

Metrics = Mapping[str, Any]

# A share may miss its weight by this much: what whole documents and rounding cost.
_SHARE_TOLERANCE = 0.01
# A cut in this outermost part of the range of scores, as the step ``keep`` has it.
_EDGE = 0.01


def mix_warnings(mixes: Iterable[Metrics]) -> dict[str, list[str]]:
    """Warnings by mix, from the metrics of SampleTask; seeds of a mix share theirs."""
    found = {
        mix: [*_shares_missed(metrics), *_ended_short(metrics), *_cuts_at_an_edge(metrics)]
        for mix, metrics in _of_first_seeds(mixes).items()
    }
    return {mix: warnings for mix, warnings in found.items() if warnings}


def mixes_that_lack_text(mixes: Iterable[Metrics]) -> list[str]:
    """The mixes that are not what the manifest asks for."""
    return [
        mix
        for mix, metrics in _of_first_seeds(mixes).items()
        if any(_shares_missed(metrics)) or any(_ended_short(metrics))
    ]


def _of_first_seeds(mixes: Iterable[Metrics]) -> dict[str, Metrics]:
    found: dict[str, Metrics] = {}
    for metrics in mixes:
        found.setdefault(metrics["mix"], metrics)
    return found


def _shares_missed(metrics: Metrics) -> Iterable[str]:
    total = max(1, metrics["tokens"])
    missed = [
        f"{share['component']} {share['tokens'] / total:.2f} instead of {share['weight']:.2f}"
        for share in metrics["components"]
        if abs(share["tokens"] / total - share["weight"]) > _SHARE_TOLERANCE
    ]
    if missed:
        yield (
            f"the mix `{metrics['mix']}` has other shares than the manifest asks for, because text "
            f"ran out: {', '.join(missed)}; raise max_epochs, lower the token budget or give it "
            "more text"
        )


def _ended_short(metrics: Metrics) -> Iterable[str]:
    if metrics["short"]:
        yield (
            f"the mix `{metrics['mix']}` has {metrics['tokens']:,} of {metrics['wanted']:,} "
            "tokens: every source reached its epoch cap"
        )


def _cuts_at_an_edge(metrics: Metrics) -> Iterable[str]:
    for share in metrics["components"]:
        lowest, highest = share["lowest"], share["highest"]
        for cut in (share["low"], share["high"]):
            if cut is None or not lowest < cut < highest:
                continue
            place = (cut - lowest) / (highest - lowest)
            if min(place, 1 - place) < _EDGE:
                end = "lowest" if place < _EDGE else "highest"
                yield (
                    f"the mix `{metrics['mix']}` cuts `{share['component']}` at the score "
                    f"{cut:.3g}, in the {end} {100 * _EDGE:g} % of the range "
                    f"({lowest:.3g} to {highest:.3g}): the scores of the documents on that side "
                    "are nearly the same"
                )


def target_warnings(targets: Mapping[str, Metrics]) -> list[str]:
    """Warnings from the metrics of HeldOutTask by target."""
    found = []
    for target, metrics in targets.items():
        count = metrics["documents"]
        if count < MIN_DOCUMENTS:
            documents = "1 document" if count == 1 else f"{count} documents"
            found.append(
                f"the target `{target}` is evaluated on {documents}; fewer than {MIN_DOCUMENTS} "
                "decide nothing"
            )
        if metrics["left_out"]:
            found.append(
                f"{metrics['left_out']:,} rows of the target `{target}` are empty or over 1 MiB "
                "and are not evaluated"
            )
    return found
