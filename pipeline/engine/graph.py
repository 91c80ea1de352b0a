"""From a manifest and frozen shards to stages: which tasks there are, and what each one reads.

A task names what it reads, so that another file added to a source costs its own shard alone, and
so that what follows a stage depends on what the stage gave and not on its parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import Any

from pipeline.engine.fingerprint import custom_code, digest, versions_of
from pipeline.engine.global_tasks import MAPPED, MapTask, ReduceTask
from pipeline.engine.ids import CountIds
from pipeline.engine.row_tasks import ARTIFACTS, REDUCED, ApplyTask, DocumentsTask, RowTask
from pipeline.engine.stage import KEPT, Reads, Stage, StageOutputs, Task
from pipeline.extension import BuildContext
from pipeline.manifest import Manifest
from pipeline.manifest.manifest import NamedStep
from pipeline.sources.source import Shard
from pipeline.step import GlobalStep, RowStep

MAX_NAME = 48
SETTINGS = "settings of the source"  # among the inputs of a task that reads a shard


@dataclass
class Graph:
    """All stages in the order they run, and which of them belong to which extension.

    ``reductions`` are the stages in which global steps reduce, by the label of the step;
    ``corpus`` is the stage whose kept documents the steps left.
    """

    corpus: Stage
    ids: Stage
    stages: list[Stage] = field(default_factory=list)
    reductions: dict[str, Stage] = field(default_factory=dict)
    extensions: dict[str, list[Stage]] = field(default_factory=dict)


def build_graph(manifest: Manifest, shards: Sequence[Shard]) -> Graph:
    """Every stage the manifest asks for. Reads nothing but the manifest and the shard list."""
    builder = _Builder(manifest)
    runs = [
        (is_global, list(steps))
        for is_global, steps in groupby(
            manifest.steps, key=lambda named: isinstance(named.step, GlobalStep)
        )
    ]
    first = runs.pop(0)[1] if runs and not runs[0][0] else []
    corpus = builder.read(shards, first)
    ids = builder.ids(corpus)
    for is_global, steps in runs:
        if is_global:
            for named in steps:
                corpus = builder.global_step(corpus, named)
        else:
            corpus = builder.rows(corpus, steps)
    graph = Graph(corpus, ids, builder.stages, builder.reductions)
    view = manifest.view(manifest.columns)
    for name, extension in manifest.extensions.items():
        make = partial(builder.of_extension, name)
        context = BuildContext(view, corpus, make, manifest.executor.workers)
        graph.extensions[name] = extension.stages(context)
    return graph


class _Builder:
    """Collects stages as they are made."""

    def __init__(self, manifest: Manifest) -> None:
        self.stages: list[Stage] = []
        self.reductions: dict[str, Stage] = {}
        self._manifest = manifest

    def read(self, shards: Sequence[Shard], steps: Sequence[NamedStep]) -> Stage:
        """The first stage: sources through the row steps before any global step."""
        sources, pairs = self._manifest.sources, _row_steps(steps)
        tasks = []
        for shard in shards:
            source = sources[shard.source]
            content = digest([shard.names, [sha256 for _, sha256 in shard.files]])
            key = f"{shard.source}-{content[:12]}"
            settings = [shard.source, type(source).__name__, source.version, source.settings()]
            inputs = dict(zip(shard.names, (sha256 for _, sha256 in shard.files), strict=True))
            # The values of settings may hold what the environment put in, so only a digest is kept.
            inputs[SETTINGS] = digest([settings, _code_of([type(source)])])
            label = shard.names[0] + (f" +{len(shard.names) - 1}" if shard.names[1:] else "")
            spec = RowTask(key, shard, source, pairs)
            tasks.append(Task(key, spec, label, shard.bytes, (), inputs))
        return self._add(
            "read" if not steps else _stage_name(steps), "read", tasks, *_of_steps(steps), steps
        )

    def ids(self, corpus: Stage) -> Stage:
        """Whether ids are unique, over all documents that were read."""
        task = Task("ids", CountIds(corpus.outputs), reads=(Reads(corpus.outputs, under=KEPT),))
        return self._add("ids", "ids", [task], {}, {"ids": CountIds.version}, after=[corpus])

    def rows(self, corpus: Stage, steps: Sequence[NamedStep]) -> Stage:
        """Row steps between or after global steps."""
        pairs = _row_steps(steps)
        tasks = [
            replace(task, spec=DocumentsTask(task.key, corpus.outputs, pairs))
            for task in _each_shard(corpus)
        ]
        name = _stage_name(steps)
        return self._add(name, "rows", tasks, *_of_steps(steps), steps, after=[corpus])

    def global_step(self, corpus: Stage, named: NamedStep) -> Stage:
        """Map, reduce, apply."""
        step, label, seed = named.step, named.label, self._manifest.seed
        assert isinstance(step, GlobalStep)
        _, versions = _of_steps([named])
        everything = step.model_dump(mode="json")
        seen = step.map_parameters
        of_map = {k: v for k, v in everything.items() if seen is None or k in seen}
        mapped = self._add(
            f"{label}.map",
            f"map {named.name}",
            [
                replace(task, spec=MapTask(task.key, corpus.outputs, step))
                for task in _each_shard(corpus)
            ],
            {"steps": {label: of_map}},
            versions,
            after=[corpus],
        )
        parameters = {"steps": {label: everything}, "seed": seed}
        reads = (Reads(mapped.outputs, under=MAPPED), Reads(corpus.outputs, under=KEPT))
        reduce = Task(REDUCED, ReduceTask(corpus.outputs, mapped.outputs, step, seed), label)
        reduced = self._add(
            f"{label}.reduce",
            f"reduce {named.name}",
            [replace(reduce, reads=reads)],
            parameters,
            versions,
            after=[corpus, mapped],
        )
        self.reductions[label] = reduced
        found = Reads(reduced.outputs, under=ARTIFACTS)
        tasks = [
            replace(
                task,
                spec=ApplyTask(task.key, corpus.outputs, reduced.outputs, label, step),
                reads=(*(task.reads or ()), found),
                numbered=True,  # artifacts may speak of shards by their number
            )
            for task in _each_shard(corpus)
        ]
        steps, after = [named], [corpus, reduced]
        return self._add(label, f"apply {label}", tasks, parameters, versions, steps, after=after)

    def of_extension(
        self,
        extension: str,
        name: str,
        tasks: Sequence[Task],
        parameters: Mapping[str, Any],
        after: Sequence[Stage],
        version: int = 1,
    ) -> Stage:
        """A stage of an extension (with its first argument bound, a StageMaker)."""
        full = f"{extension}.{name}"
        everything = tuple(Reads(stage.outputs) for stage in after)
        tasks = [t if t.reads is not None else replace(t, reads=everything) for t in tasks]
        code = _code_of([type(self._manifest.extensions[extension])])
        return self._add(full, full, tasks, parameters, {full: version, **code}, after=after)

    def _add(
        self,
        name: str,
        kind: str,
        tasks: Sequence[Task],
        parameters: Mapping[str, Any],
        versions: Mapping[str, str | int],
        steps: Sequence[NamedStep] = (),
        *,
        after: Sequence[Stage] = (),
    ) -> Stage:
        taken = {stage.name for stage in self.stages}
        while name in taken:  # a step of somebody's own may be called ``ids``
            name += "_"
        stage = Stage(
            name=name,
            kind=kind,
            tasks=tuple(replace(task, label=task.label or task.key) for task in tasks),
            parameters=parameters,
            versions=versions,
            outputs=StageOutputs(self._manifest.store, tuple(task.key for task in tasks)),
            after=tuple(stage.name for stage in after),
            steps=tuple(named.label for named in steps),
        )
        self.stages.append(stage)
        return stage


def _row_steps(steps: Sequence[NamedStep]) -> tuple[tuple[str, RowStep], ...]:
    pairs = []
    for named in steps:
        assert isinstance(named.step, RowStep)
        pairs.append((named.label, named.step))
    return tuple(pairs)


def _each_shard(corpus: Stage) -> list[Task]:
    """A task for each shard of ``corpus``, under the same key, which reads its documents."""
    return [
        Task(t.key, t.spec, t.label, t.bytes, (Reads(corpus.outputs, (t.key,), KEPT),))
        for t in corpus.tasks
    ]


def _of_steps(steps: Sequence[NamedStep]) -> tuple[dict[str, Any], dict[str, str | int]]:
    """Everything that decides what steps do: parameters in their order, and versions."""
    parameters = {
        "steps": {named.label: named.step.model_dump(mode="json") for named in steps},
        "order of steps": [named.label for named in steps],
    }
    versions: dict[str, str | int] = {}
    for named in steps:
        versions.update(versions_of(type(named.step)))
    return parameters, versions


def _code_of(kinds: Sequence[type]) -> dict[str, str | int]:
    """Digests of code in files beside the manifest, which carry no version."""
    return {name: code for kind in kinds for name, code in custom_code(kind)}


def _stage_name(steps: Sequence[NamedStep]) -> str:
    labels = [named.label for named in steps]
    name = "+".join(labels)
    return name if len(name) <= MAX_NAME else f"{labels[0]}+{len(labels) - 1}_more"
