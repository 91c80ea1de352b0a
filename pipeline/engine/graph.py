"""From a manifest and frozen shards to stages: which tasks there are, and what each depends on.

Stages that work shard by shard are named by their recipe (steps, parameters, code) and not by
their input, so that another file added to a source leaves the receipts of the others valid. What
needs all documents at once (a conclusion and what applies it) is named by all of its input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from pipeline.engine.fingerprint import code_digest, digest
from pipeline.engine.global_tasks import MapTask, ReduceTask
from pipeline.engine.ids import CountIds
from pipeline.engine.row_tasks import ApplyTask, DocumentsTask, RowTask
from pipeline.engine.stage import Stage, Task, TaskSpec
from pipeline.extension import BuildContext
from pipeline.manifest import Manifest
from pipeline.manifest.manifest import NamedStep
from pipeline.sources.source import Shard
from pipeline.step import GlobalStep, RowStep, Step

MAX_NAME = 48


@dataclass
class Graph:
    """All stages in the order they run, and which of them belong to which extension.

    ``conclusions`` are the stages in which global steps conclude, by the label of the step.
    """

    stages: list[Stage] = field(default_factory=list)
    conclusions: dict[str, Stage] = field(default_factory=dict)
    extensions: dict[str, list[Stage]] = field(default_factory=dict)
    ids: Stage | None = None


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
    count = Task("ids", CountIds(corpus.committed))
    builder.graph.ids = builder.make("ids", [count], {}, [corpus], ["pipeline.engine.ids"])
    for is_global, steps in runs:
        if is_global:
            for named in steps:
                corpus = builder.global_step(corpus, named)
        else:
            corpus = builder.rows(corpus, steps)
    _add_sections(builder, manifest, corpus)
    return builder.graph


def _add_sections(builder: _Builder, manifest: Manifest, corpus: Stage) -> None:
    view = manifest.view(manifest.columns)
    site = BuildContext(view, corpus, builder.make, manifest.executor.workers)
    for name, extension in manifest.extensions.items():
        builder.graph.extensions[name] = extension.stages(site)


def _row_steps(steps: Sequence[NamedStep]) -> tuple[tuple[str, RowStep], ...]:
    pairs = []
    for named in steps:
        assert isinstance(named.step, RowStep)
        pairs.append((named.label, named.step))
    return tuple(pairs)


def _parameters(steps: Sequence[NamedStep]) -> dict[str, Any]:
    return {"steps": {named.label: named.step.model_dump(mode="json") for named in steps}}


def _modules(steps: Sequence[Step]) -> list[str]:
    return [type(step).__module__ for step in steps]


def _stage_name(steps: Sequence[NamedStep]) -> str:
    labels = [named.label for named in steps]
    name = "+".join(labels)
    return name if len(name) <= MAX_NAME else f"{labels[0]}+{len(labels) - 1}_more"


class _Builder:
    """Numbers and fingerprints stages as they are added."""

    def __init__(self, manifest: Manifest) -> None:
        self.graph = Graph()
        self._manifest = manifest
        # Stage name → what stages that go on shard by shard build on: its recipe without input.
        self._recipes: dict[str, str] = {}

    def make(
        self,
        name: str,
        tasks: Sequence[Task],
        parameters: Mapping[str, Any],
        after: Sequence[Stage],
        code: Sequence[str],
        steps: tuple[str, ...] = (),
    ) -> Stage:
        """A stage that depends on all of its input (the StageMaker of extensions).

        Where tasks bring fingerprints of their own, each depends on that and on what its stage
        builds on, but not on the other tasks: another mix leaves the trials of the others alone.
        """
        code_now = code_digest(code)
        own = any(task.fingerprint for task in tasks)
        below = [self._recipes[s.name] if own else s.fingerprint for s in after]
        recipe = digest([name, parameters, code_now, below])
        done = [
            Task(
                t.key,
                t.spec,
                t.label or t.key,
                t.bytes,
                digest([recipe, t.fingerprint]) if own else recipe,
            )
            for t in tasks
        ]
        return self._add(
            name=name,
            recipe=recipe,
            tasks=done,
            parameters=parameters,
            code=code_now,
            after=after,
            fingerprint=digest([recipe, [[t.key, t.fingerprint] for t in done]]) if own else recipe,
            steps=steps,
        )

    def read(self, shards: Sequence[Shard], steps: Sequence[NamedStep]) -> Stage:
        """The first stage: sources through the row steps before any global step."""
        sources = self._manifest.sources
        pairs = _row_steps(steps)
        tasks = []
        for shard in shards:
            source = sources[shard.source]
            content = digest([shard.names, [sha256 for _, sha256 in shard.files]])
            key = f"{shard.source}-{content[:12]}"
            identity = digest(
                [shard.source, type(source).__name__, source.model_dump(mode="json"), content]
            )
            label = shard.names[0] + (f" +{len(shard.names) - 1}" if shard.names[1:] else "")
            work = RowTask(key, shard, source, pairs)
            tasks.append(Task(key, work, label, shard.bytes, identity))
        # As written: what the environment put into a source (a path, a key) is nobody's business.
        parameters = _parameters(steps) | {"sources": self._manifest.values["sources"]}
        return self._shardwise(
            "read" if not steps else _stage_name(steps),
            tasks,
            parameters,
            ["pipeline.engine.row_tasks", *_modules([n.step for n in steps])]
            + [type(source).__module__ for source in sources.values()],
            recipe_of=[_ordered(steps)],
            steps=steps,
        )

    def rows(self, corpus: Stage, steps: Sequence[NamedStep]) -> Stage:
        """Row steps between or after global steps."""
        pairs = _row_steps(steps)
        tasks = _follow(corpus, lambda task: DocumentsTask(task.key, corpus.committed, pairs))
        return self._shardwise(
            _stage_name(steps),
            tasks,
            _parameters(steps),
            ["pipeline.engine.row_tasks", *_modules([n.step for n in steps])],
            recipe_of=[_ordered(steps), self._recipes[corpus.name]],
            after=[corpus],
            steps=steps,
        )

    def global_step(self, corpus: Stage, named: NamedStep) -> Stage:
        """Observe, conclude, apply."""
        step = named.step
        assert isinstance(step, GlobalStep)
        code = ["pipeline.engine.global_tasks", type(step).__module__]
        everything = step.model_dump(mode="json")
        seen = step.map_parameters
        observed = {k: v for k, v in everything.items() if seen is None or k in seen}
        observe = self._shardwise(
            f"{named.label}.map",
            _follow(corpus, lambda task: MapTask(task.key, corpus.committed, step)),
            {"steps": {named.label: observed}},
            code,
            recipe_of=[named.name, observed, self._recipes[corpus.name]],
            after=[corpus],
        )
        parameters = {"steps": {named.label: everything}, "seed": self._manifest.seed}
        conclude = self.make(
            f"{named.label}.reduce",
            [
                Task(
                    "artifacts",
                    ReduceTask(corpus.committed, observe.committed, step, self._manifest.seed),
                )
            ],
            parameters,
            [corpus, observe],
            code,
        )
        self.graph.conclusions[named.label] = conclude
        tasks = [
            Task(
                task.key,
                ApplyTask(
                    task.key, number, corpus.committed, conclude.committed, named.label, step
                ),
                task.label,
                task.bytes,
            )
            for number, task in enumerate(corpus.tasks)
        ]
        return self.make(
            named.label,
            tasks,
            parameters,
            [corpus, conclude],
            ["pipeline.engine.row_tasks", *code],
            steps=(named.label,),
        )

    def _shardwise(
        self,
        name: str,
        tasks: Sequence[Task],
        parameters: Mapping[str, Any],
        code: Sequence[str],
        *,
        recipe_of: Sequence[Any],
        after: Sequence[Stage] = (),
        steps: Sequence[NamedStep] = (),
    ) -> Stage:
        """A stage whose tasks depend on one shard each; ``Task.fingerprint`` holds that input."""
        code_now = code_digest(code)
        recipe = digest([name, recipe_of, code_now])
        done = [
            Task(t.key, t.spec, t.label, t.bytes, digest([recipe, t.fingerprint])) for t in tasks
        ]
        return self._add(
            name=name,
            recipe=recipe,
            tasks=done,
            parameters=parameters,
            code=code_now,
            after=after,
            fingerprint=digest([recipe, [[task.key, task.fingerprint] for task in done]]),
            steps=tuple(named.label for named in steps),
        )

    def _add(
        self,
        *,
        name: str,
        recipe: str,
        tasks: Sequence[Task],
        parameters: Mapping[str, Any],
        code: str,
        after: Sequence[Stage],
        fingerprint: str = "",
        steps: tuple[str, ...] = (),
    ) -> Stage:
        numbered = f"{len(self.graph.stages) + 1:02d}-{name}"
        stage = Stage(
            name=numbered,
            fingerprint=fingerprint or recipe,
            folder=self._manifest.output / "stages" / f"{numbered}@{recipe[:8]}",
            tasks=tuple(tasks),
            parameters=parameters,
            after=tuple(stage.fingerprint for stage in after),
            code=code,
            steps=steps,
        )
        self._recipes[numbered] = recipe
        self.graph.stages.append(stage)
        return stage


def _ordered(steps: Sequence[NamedStep]) -> list[Any]:
    """Steps in order with everything that decides what they do."""
    return [[n.label, type(n.step).__qualname__, n.step.model_dump(mode="json")] for n in steps]


def _follow(corpus: Stage, work: Callable[[Task], TaskSpec]) -> list[Task]:
    """A task for each shard of ``corpus``, under the same key."""
    return [Task(t.key, work(t), t.label, t.bytes, t.fingerprint) for t in corpus.tasks]
