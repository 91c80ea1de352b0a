"""Checks of the manifest's `tokenizer`, `mixes` and `proxy` before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.mixing.evaluation_files import EvaluationFile
from proxy.mixing.mixes import NATURAL, Mix, with_natural
from proxy.mixing.targets import AGGREGATE, FileTarget
from proxy.proxy_settings import Proxy
from proxy.training.memory import fitting_sizes, machine_bytes, training_bytes
from proxy.training.sizes import default_recipe
from winnow import ManifestView, Problem, Refusal, ShardError, sha256_file

if TYPE_CHECKING:
    from proxy.proxy_extension import ProxyExtension

# Columns of every document that can group documents that are alike.
CLUSTER_COLUMNS = ("url", "language", "_source")


def check_proxy(extension: ProxyExtension, view: ManifestView) -> Iterator[Problem]:
    """Problems with paths from the top of the manifest."""
    yield from _check_mixes(extension, view)
    yield from _check_tokenizer(extension, view)
    if extension.proxy is not None:
        yield from _check_baseline(extension, extension.proxy)
        yield from _check_targets(extension.proxy, view)


def _check_mixes(extension: ProxyExtension, view: ManifestView) -> Iterator[Problem]:
    if any(not mix.proportional for mix in extension.mixes.values()):
        for source in view.sources:
            if source in Mix.model_fields:
                yield Problem(
                    ("sources", source),
                    "reserved-name",
                    f"a mix cannot name a source {source!r}: that key is an option of the mix",
                    "give this source another name",
                )
    for name, mix in extension.mixes.items():
        for problem in mix.check(view):
            path = ("mixes", name, *problem.path)
            yield replace(problem, path=path)
        if name == NATURAL and not mix.proportional:
            yield Problem(
                ("mixes", name),
                "reserved-name",
                f"{NATURAL!r} is the proportional mix",
                "give this mix another name",
            )


def _check_tokenizer(extension: ProxyExtension, view: ManifestView) -> Iterator[Problem]:
    spec = extension.tokenizer
    if spec.file is not None:
        from proxy.mixing.tokenizer import load_encoder

        try:
            load_encoder(view.folder / spec.file, spec.end_of_text)
        except Refusal as refusal:
            yield Problem(("tokenizer", "file"), refusal.code, refusal.message, refusal.hint)
            return
    if extension.proxy is not None:
        yield from _check_model(extension, extension.proxy, view.folder)


def _check_model(extension: ProxyExtension, proxy: Proxy, folder: Path) -> Iterator[Problem]:
    """Whether there is such a model, and whether one trial fits into this machine's memory."""
    path = ("proxy", "model")
    try:
        spec = extension.shape(proxy, folder)
    except ValueError as error:
        yield Problem(path, "model-size", str(error), "use a larger model")
        return
    needed = training_bytes(spec, default_recipe(spec, proxy.tokens))
    available = machine_bytes()
    if needed > available:
        yield Problem(
            path,
            "model-memory",
            f"a trial of {proxy.model} needs about {needed / 2**30:,.1f} GiB of memory, and this "
            f"machine has {available / 2**30:,.1f} GiB",
            f"sizes that can train here: {', '.join(fitting_sizes(proxy.tokens, available))}",
        )


def _check_baseline(extension: ProxyExtension, proxy: Proxy) -> Iterator[Problem]:
    names = list(with_natural(extension.mixes))
    if proxy.baseline is not None and proxy.baseline not in names:
        yield Problem(
            ("proxy", "baseline"),
            "unknown-mix",
            f"no mix is called {proxy.baseline!r}",
            choices=tuple(names),
        )


def _check_targets(proxy: Proxy, view: ManifestView) -> Iterator[Problem]:
    for target, value in (proxy.evaluate or {}).items():
        path = ("proxy", "evaluate", target)
        if target == AGGREGATE:
            yield Problem(
                path,
                "reserved-name",
                f"{AGGREGATE!r} is the mean over all targets",
                "give this target another name",
            )
        if isinstance(value, FileTarget):
            yield from _check_file(path, target, value, view.folder)
        elif target not in view.sources:
            yield Problem(
                path,
                "unknown-source",
                f"no source is called {target!r}, so nothing of it can be held out",
                choices=view.sources,
            )
        elif value.cluster is not None and value.cluster not in (*view.columns, *CLUSTER_COLUMNS):
            yield Problem(
                (*path, "cluster"),
                "unknown-column",
                f"no document has a column {value.cluster!r}",
                choices=(*view.columns, *CLUSTER_COLUMNS),
            )


def _check_file(
    path: tuple[str, ...], target: str, settings: FileTarget, folder: Path
) -> Iterator[Problem]:
    """Whether an evaluation file is there, its rows say what is scored, and one has text."""
    file = folder / settings.file
    if not file.is_file():
        yield Problem(
            path,
            "no-evaluation-file",
            f"{settings.file!r} is neither `held_out N%` nor a file beside the manifest",
            "write `held_out 2%`, or a path relative to the manifest",
        )
        return
    documents = EvaluationFile(target, file, settings, sha256_file(file)).documents()
    try:
        if all(document.is_empty for document in documents):
            yield Problem(
                path,
                "empty-evaluation-file",
                f"{settings.file!r} has no row with text to score",
                "give it one, or take the target out of proxy.evaluate",
            )
    except ShardError as error:
        yield Problem(path, error.code, error.message, error.hint)
