"""From a manifest and frozen shards to stages: which tasks there are, and what each one reads.

A task names what it reads, so that another file added to a source costs its own shard alone, and
so that what follows a stage depends on what the stage gave and not on its parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby, takewhile
from typing import Any

from pipeline.engine.fingerprint import custom_code, digest, versions_of
from pipeline.engine.global_tasks import MAPPED, MapTask, ReduceTask
from pipeline.engine.ids import CountIds
from pipeline.engine.row_tasks import (
    ARTIFACTS,
    REDUCED,
    ApplyTask,
    CorpusTask,
    IndexTask,
    RowTask,
)
from pipeline.engine.stage import KEPT, CorpusView, Reads, Stage, StageOutputs, Task, TaskSpec
from pipeline.extension import BuildContext
from pipeline.manifest import Manifest
from pipeline.manifest.manifest import NamedStep
from pipeline.sources.source import InputFile, Shard, SourceFormat
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
    steps = list(manifest.steps)
    last = builder.read(shards, _row_steps_first(steps))
    ids = builder.ids(last)
    while steps:
        step = steps.pop(0)
        last = builder.global_step(last, step, _row_steps_first(steps))
    corpus = builder.corpus(last)
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
        indexes = self.index(shards)
        tasks = []
        for shard in shards:
            source = sources[shard.source]
            key = f"{shard.source}-{digest([part.identity for part in shard.parts])[:16]}"
            inputs = {part.label: part.file.token for part in shard.parts}
            inputs[SETTINGS] = _settings(shard.source, source)
            label = shard.names[0] + (f" +{len(shard.names) - 1}" if shard.names[1:] else "")
            first, *_ = shard.parts  # the only one, where an index is needed
            reads: tuple[Reads, ...] = ()
            if indexes is not None and source.needs_index(first):
                reads = (Reads(indexes.outputs, (_index_key(shard.source, first.file),)),)
            spec = RowTask(key, shard, source, pairs, reads)
            tasks.append(Task(key, spec, label, shard.bytes, reads, inputs))
        return self._add(
            "read" if not steps else _stage_name(steps), "read", tasks, *_of_steps(steps), steps,
            after=[] if indexes is None else [indexes],
        )  # fmt: skip

    def index(self, shards: Sequence[Shard]) -> Stage | None:
        """A pass over files of which several shards read a part, where their format needs it."""
        sources, tasks = self._manifest.sources, []
        split = [s for s in shards if any(map(sources[s.source].needs_index, s.parts))]
        for (name, file), parts in groupby(split, key=lambda s: (s.source, s.parts[0].file)):
            source, key = sources[name], _index_key(name, file)
            starts = tuple(shard.parts[0].start for shard in parts)
            inputs = {file.name: file.token, SETTINGS: _settings(name, source)}
            parameters = {"parts": len(starts), "part_bytes": starts[-1] // (len(starts) - 1)}
            spec = IndexTask(file, starts, source)
            tasks.append(Task(key, spec, file.name, file.size, (), inputs, parameters))
        return self._add("index", "index", tasks, {}, {}) if tasks else None

    def ids(self, corpus: Stage) -> Stage:
        """Whether ids are unique, over all documents that were read."""
        task = Task("ids", CountIds(corpus.outputs), reads=(Reads(corpus.outputs, under=KEPT),))
        return self._add("ids", "ids", [task], {}, {"ids": CountIds.version}, after=[corpus])

    def global_step(self, before: Stage, named: NamedStep, then: Sequence[NamedStep]) -> Stage:
        """Map, reduce, apply, the last together with the row steps that come ``then``."""
        step, label, seed = named.step, named.label, self._manifest.seed
        assert isinstance(step, GlobalStep)
        corpus = before.corpus
        _, versions = _of_steps([named])
        everything = step.model_dump(mode="json")
        seen = step.map_parameters
        of_map = {k: v for k, v in everything.items() if seen is None or k in seen}
        mapped = self._add(
            f"{label}.map",
            f"map {named.name}",
            [_of_shard(t, MapTask(t.key, corpus, step), corpus) for t in before.tasks],
            {"steps": {label: of_map}},
            versions,
            after=[before],
        )
        parameters = {"steps": {label: everything}, "seed": seed}
        reads = (Reads(mapped.outputs, under=MAPPED), *corpus.reads())
        reduce = Task(REDUCED, ReduceTask(corpus, mapped.outputs, step, seed), label)
        reduced = self._add(
            f"{label}.reduce",
            f"reduce {named.name}",
            [replace(reduce, reads=reads)],
            parameters,
            versions,
            after=[before, mapped],
        )
        self.reductions[label] = reduced
        found = Reads(reduced.outputs, under=ARTIFACTS)
        edits = any(named.step.edits_text() for named in (named, *then))
        pairs = _row_steps(then)
        tasks = []
        for t in before.tasks:
            spec = ApplyTask(t.key, corpus, reduced.outputs, label, step, pairs, edits)
            # Artifacts may speak of shards by their number.
            tasks.append(replace(_of_shard(t, spec, corpus, found), numbered=True))
        steps = [named, *then]
        of_steps, versions = _of_steps(steps)
        return self._add(
            _stage_name(steps),
            f"apply {label}",
            tasks,
            {**of_steps, "seed": seed},
            versions,
            steps,
            after=[before, reduced],
            before=corpus,
            annotates=not edits,
        )

    def corpus(self, last: Stage) -> Stage:
        """The documents that all steps left: ``last`` if it has written them, else a stage that
        writes them."""
        if not last.annotates:
            return last
        view = last.corpus
        tasks = [_of_shard(t, CorpusTask(t.key, view), view) for t in last.tasks]
        versions = {"corpus": CorpusTask.version}
        return self._add("corpus", "corpus", tasks, {}, versions, after=[last], before=view)

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
        before: CorpusView | None = None,
        annotates: bool = False,
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
            before=before,
            annotates=annotates,
        )
        self.stages.append(stage)
        return stage


def _index_key(source: str, file: InputFile) -> str:
    return f"{source}-{digest(file.name)[:16]}"


def _settings(name: str, source: SourceFormat) -> str:
    """What decides what a file of the source gives. The values of settings may hold what the
    environment put in, so only a digest is kept."""
    settings = [name, type(source).__name__, source.version, source.settings()]
    return digest([settings, _code_of([type(source)])])


def _row_steps_first(steps: list[NamedStep]) -> list[NamedStep]:
    """Take the row steps at the beginning of ``steps`` out of it."""
    first = list(takewhile(lambda named: isinstance(named.step, RowStep), steps))
    del steps[: len(first)]
    return first


def _row_steps(steps: Sequence[NamedStep]) -> tuple[tuple[str, RowStep], ...]:
    pairs = []
    for named in steps:
        assert isinstance(named.step, RowStep)
        pairs.append((named.label, named.step))
    return tuple(pairs)


def _of_shard(shard: Task, spec: TaskSpec, corpus: CorpusView, *more: Reads) -> Task:
    """A task for the shard of another one, which reads its documents."""
    return Task(shard.key, spec, shard.label, shard.bytes, (*corpus.reads(shard.key), *more))


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
