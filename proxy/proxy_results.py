"""What run_results.json holds about mixes, trials and their verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import orjson
from pydantic import JsonValue

from proxy.proxy_warnings import mix_warnings, mixes_that_lack_text, target_warnings
from proxy.verdicts.verdict import VERDICT
from winnow import Stage


def proxy_results(stages: Sequence[Stage]) -> dict[str, JsonValue]:
    """Metrics of every stage by task, and the verdict; {} without stages."""
    found = stages_by_name(stages)
    if not found:
        return {}
    results: dict[str, JsonValue] = {
        "tokenizer": _metrics(found["tokenizer"]),
        "evaluation": _metrics(found["held_out"]),
        "split": _metrics(found["split"]),
        "tokens": _metrics(found["tokenise"]),
        "mixes": _metrics(found["mix"]),
    }
    mixes = [receipt.metrics for receipt in found["mix"].outputs.receipts()]
    warnings = [text for texts in mix_warnings(mixes).values() for text in texts]
    for receipt in found["held_out"].outputs.receipts():
        warnings += target_warnings(cast(dict[str, dict[str, Any]], receipt.metrics["targets"]))
    results["warnings"] = list[JsonValue](warnings)
    if (measured := _tokens_per_byte(found["tokenise"])) is not None:
        results["tokens_per_byte"] = measured
    if "trial" in found:
        results["trials"] = _metrics(found["trial"])
    if "verdict" in found:
        for receipt in found["verdict"].outputs.receipts():
            results["headline"] = (
                f"{receipt.metrics['headline']}{_reservation(mixes_that_lack_text(mixes))}"
            )
            results["tone"] = receipt.metrics["tone"]
            (path,) = found["verdict"].outputs.outputs(VERDICT)
            results["verdict"] = orjson.loads(path.read_bytes())
    return results


def _reservation(mixes: Sequence[str]) -> str:
    """What the headline adds when ``mixes`` are not what the manifest asks for."""
    if not mixes:
        return ""
    return f" Not as asked for, for want of text: {', '.join(f'`{mix}`' for mix in mixes)}."


def stages_by_name(stages: Sequence[Stage]) -> dict[str, Stage]:
    """Stages by the names they were made with, without the extension's."""
    return {stage.name.partition(".")[2]: stage for stage in stages}


def _metrics(stage: Stage) -> dict[str, JsonValue]:
    """Metrics of the tasks that are done, by key."""
    return {receipt.key: dict(receipt.metrics) for receipt in stage.outputs.receipts()}


def _tokens_per_byte(stage: Stage) -> float | None:
    """Tokens per byte of training text, all sources together; None without any text."""
    tokens = bytes_ = 0
    for receipt in stage.outputs.receipts():
        sources = cast(dict[str, list[int]], receipt.metrics.get("sources", {}))
        for _, source_tokens, source_bytes in sources.values():
            tokens += source_tokens
            bytes_ += source_bytes
    return tokens / bytes_ if bytes_ else None
