"""The manifest's ``tokenizer``, ``mixes`` and ``proxy``: from kept documents to a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, cast

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from proxy.decide import VERDICT, TrialName, VerdictTask
from proxy.draw import MixTask
from proxy.held_out import DEFAULT_SHARE, External, HeldOutTask, parse_share
from proxy.mixes import NATURAL, Mix, TokenCount, did_you_mean, with_natural
from proxy.roles import RolesTask
from proxy.sizes import ModelSpec, default_vocabulary, model_spec, parse_size
from proxy.tokenise import EVALUATION, EvaluationTask, TokeniseTask
from proxy.tokenizer import CopyTask, TokenizerSpec, TrainTask, load_encoder
from proxy.trial import TrialTask
from proxy.verdict import AGGREGATE
from winnow import (
    KEPT,
    BuildContext,
    Extension,
    ManifestView,
    Problem,
    Reads,
    Refusal,
    ReportSection,
    ShardError,
    Stage,
    Task,
    sha256_file,
)

DEFAULT_MODEL = "1m"


def _is_size(model: str) -> str:
    parse_size(model)
    return model


def _is_target(target: str) -> str:
    parse_share(target)
    return target


class Proxy(BaseModel):
    """Small paired pretraining runs that compare the mixes."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: Annotated[str, AfterValidator(_is_size)] = Field(
        default=DEFAULT_MODEL, description="Parameters of the model: `100k`, `1m`, `30m`."
    )
    tokens: TokenCount = Field(
        default=2_000_000, description="Tokens that each trial trains on: `500k`, `2M`, `1B`."
    )
    seeds: int = Field(
        default=3,
        ge=1,
        le=100,
        description="Trials per mix. One seed alone leaves every verdict undecided.",
    )
    evaluate: dict[str, Annotated[str, AfterValidator(_is_target)]] | None = Field(
        default=None,
        min_length=1,
        description="What is evaluated, by name: `held_out 2%` of the source of that name, or the "
        "path of a file of JSON lines (plain, .gz, .zst), relative to the manifest. Default: 2% "
        "of every source. Of a source at least 8 and at most 400 documents are held out, of a "
        "file at most 400 are used, each by its first 4,096 bytes.",
    )
    baseline: str | None = Field(
        default=None,
        description="The mix that the others are compared with. Default: the proportional one.",
    )


class ProxyExtension(Extension):
    """Mixes, their tokens, and the trials that compare them."""

    tokenizer: TokenizerSpec = Field(
        default_factory=TokenizerSpec, description="The byte-level BPE tokenizer of the run."
    )
    mixes: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")], Mix] = Field(
        default_factory=dict,
        description="Mixes by name, drawn from the documents that the steps keep. A proportional "
        "one, `natural`, is always there.",
    )
    proxy: Proxy | None = Field(default=None, description="Trials; none when it is left out.")

    def check(self, view: ManifestView) -> Iterator[Problem]:
        for name, mix in self.mixes.items():
            for problem in mix.check(view):
                path = ("mixes", name, *problem.path)
                yield Problem(path, problem.code, problem.message, problem.hint)
            if name == NATURAL and not mix.proportional:
                yield Problem(
                    ("mixes", name),
                    "reserved-name",
                    f"{NATURAL!r} is the proportional mix",
                    "give this mix another name",
                )
        yield from self._check_tokenizer(view)
        if self.proxy is not None:
            yield from self._check_proxy(self.proxy, view)

    def _check_tokenizer(self, view: ManifestView) -> Iterator[Problem]:
        if self.tokenizer.file is not None:
            try:
                load_encoder(view.folder / self.tokenizer.file, self.tokenizer.end_of_text)
            except Refusal as refusal:
                yield Problem(("tokenizer", "file"), refusal.code, refusal.message, refusal.hint)
                return
        if self.proxy is not None:
            try:
                self.shape(self.proxy, view.folder)
            except ValueError as error:
                yield Problem(("proxy", "model"), "model-size", str(error), "use a larger model")

    def _check_proxy(self, proxy: Proxy, view: ManifestView) -> Iterator[Problem]:
        names = list(with_natural(self.mixes))
        if proxy.baseline is not None and proxy.baseline not in names:
            yield Problem(
                ("proxy", "baseline"),
                "unknown-mix",
                f"no mix is called {proxy.baseline!r}",
                did_you_mean(proxy.baseline, names),
            )
        for target, value in (proxy.evaluate or {}).items():
            path = ("proxy", "evaluate", target)
            if target == AGGREGATE:
                yield Problem(
                    path,
                    "reserved-name",
                    f"{AGGREGATE!r} is the mean over all targets",
                    "give this target another name",
                )
            if parse_share(value) is None:
                yield from _check_file(path, target, value, view.folder)
            elif target not in view.sources:
                yield Problem(
                    path,
                    "unknown-source",
                    f"no source is called {target!r}, so nothing of it can be held out",
                    did_you_mean(target, view.sources),
                )

    def stages(self, site: BuildContext) -> list[Stage]:
        if not self.mixes and self.proxy is None:
            return []
        return _Stages(self, site).all()

    def results(self, stages: Sequence[Stage]) -> dict[str, JsonValue]:
        found = by_name(stages)
        if not found:
            return {}
        results: dict[str, JsonValue] = {
            "tokenizer": _facts(found["tokenizer"]),
            "evaluation": _facts(found["held_out"]),
            "roles": _facts(found["roles"]),
            "tokens": _facts(found["tokenise"]),
            "mixes": _facts(found["mix"]),
        }
        if (measured := _tokens_per_byte(found["tokenise"])) is not None:
            results["tokens_per_byte"] = measured
        if "trial" in found:
            results["trials"] = _facts(found["trial"])
        if "verdict" in found:
            for receipt in found["verdict"].outputs.receipts():
                results["headline"] = receipt.metrics["headline"]
                results["tone"] = receipt.metrics["tone"]
                (path,) = found["verdict"].outputs.outputs(VERDICT)
                results["verdict"] = orjson.loads(path.read_bytes())
        return results

    def report_sections(self, stages: Sequence[Stage]) -> list[ReportSection]:
        # Imported where it is needed: planning a run would pay half a second for the charts.
        from proxy.report_blocks import sections

        found = {name: stage.outputs for name, stage in by_name(stages).items()}
        return sections(found) if found else []

    def targets(self, view: ManifestView) -> dict[str, str]:
        """What is evaluated by target, as in the manifest; {} without a proxy."""
        if self.proxy is None:
            return {}
        everything = dict.fromkeys(view.sources, f"held_out {100 * DEFAULT_SHARE:g}%")
        return self.proxy.evaluate or everything

    def baseline(self) -> str:
        """The mix that the others are compared with."""
        if self.proxy is not None and self.proxy.baseline is not None:
            return self.proxy.baseline
        mixes = with_natural(self.mixes)
        return next(name for name, mix in mixes.items() if mix.proportional)

    def shape(self, proxy: Proxy, folder: Path) -> ModelSpec:
        """The model of the trials. ValueError when its vocabulary is too large for its size."""
        return model_spec(proxy.model, self.vocabulary(folder))

    def vocabulary(self, folder: Path) -> int:
        """Tokens of the tokenizer; ``folder`` is the manifest's."""
        spec = self.tokenizer
        if spec.file is not None:
            return load_encoder(folder / spec.file, spec.end_of_text).vocabulary
        model = self.proxy.model if self.proxy is not None else DEFAULT_MODEL
        return spec.vocabulary or default_vocabulary(model)


class _Stages:
    """Builds the extension's stages one after the other."""

    def __init__(self, extension: ProxyExtension, site: BuildContext) -> None:
        self.extension = extension
        self.site = site
        self.seed = site.view.seed
        self.end_of_text = extension.tokenizer.end_of_text

    def all(self) -> list[Stage]:
        held_out = self.held_out()
        roles = self.roles(held_out)
        tokenizer = self.tokenizer(roles)
        tokenise = self.tokenise(roles, tokenizer)
        mix = self.mix(tokenise)
        stages = [held_out, roles, tokenizer, tokenise, mix]
        if self.extension.proxy is None:
            return stages
        evaluation = self.evaluation(held_out, tokenizer)
        trial = self.trial(self.extension.proxy, mix, evaluation)
        stages += [evaluation, trial]
        names = self.names()
        if len({name.mix for name in names}) > 1:
            stages.append(self.verdict(trial, names))
        return stages

    def held_out(self) -> Stage:
        folder, targets = self.site.view.folder, self.extension.targets(self.site.view)
        shares = {target: parse_share(value) for target, value in targets.items()}
        external = [
            External(target, folder / targets[target], targets[target], sha256)
            for target, share in shares.items()
            if share is None
            for sha256 in [sha256_file(folder / targets[target])]
        ]
        known = tuple((t, share) for t, share in shares.items() if share is not None)
        work = HeldOutTask(self.site.corpus.outputs, known, tuple(external), self.seed)
        parameters = {
            "proxy": {"evaluate": targets},
            "seed": self.seed,
        }
        # The documents alone are read, not the columns that steps leave beside them.
        task = Task(
            "held_out",
            work,
            reads=(Reads(self.site.corpus.outputs, under=KEPT),),
            inputs={file.name: file.sha256 for file in external},
        )
        return self.site.make("held_out", [task], parameters, [self.site.corpus])

    def roles(self, held_out: Stage) -> Stage:
        corpus = self.site.corpus
        tasks = [
            Task(
                task.key,
                RolesTask(corpus.outputs, task.key, held_out.outputs, self.seed),
                task.label,
                task.bytes,
                (Reads(corpus.outputs, (task.key,), KEPT), Reads(held_out.outputs)),
            )
            for task in corpus.tasks
        ]
        parameters = {"seed": self.seed}
        return self.site.make("roles", tasks, parameters, [corpus, held_out])

    def tokenizer(self, roles: Stage) -> Stage:
        spec, folder, corpus = self.extension.tokenizer, self.site.view.folder, self.site.corpus
        parameters: dict[str, JsonValue] = {"tokenizer": {"end_of_text": spec.end_of_text}}
        after = [corpus, roles]
        work: CopyTask | TrainTask
        reads: tuple[Reads, ...]
        if spec.file is not None:
            path = folder / spec.file
            work = CopyTask(path, sha256_file(path), spec.end_of_text)
            parameters = {"tokenizer": {**spec.model_dump(mode="json"), "sha256": work.sha256}}
            after, reads = [], ()
        else:
            vocabulary = self.extension.vocabulary(folder)
            work = TrainTask(corpus.outputs, roles.outputs, vocabulary, spec.end_of_text)
            parameters = {"tokenizer": {"vocabulary": vocabulary, "end_of_text": spec.end_of_text}}
            reads = (Reads(corpus.outputs, under=KEPT), Reads(roles.outputs))
        return self.site.make(
            "tokenizer", [Task("tokenizer", work, reads=reads)], parameters, after
        )

    def tokenise(self, roles: Stage, tokenizer: Stage) -> Stage:
        corpus = self.site.corpus
        tasks = [
            Task(
                task.key,
                TokeniseTask(
                    corpus.outputs,
                    task.key,
                    roles.outputs,
                    tokenizer.outputs,
                    self.end_of_text,
                ),
                task.label,
                task.bytes,
                (
                    Reads(corpus.outputs, (task.key,), KEPT),
                    Reads(roles.outputs, (task.key,)),
                    Reads(tokenizer.outputs),
                ),
            )
            for task in corpus.tasks
        ]
        return self.site.make("tokenise", tasks, {}, [corpus, roles, tokenizer])

    def evaluation(self, held_out: Stage, tokenizer: Stage) -> Stage:
        work = EvaluationTask(held_out.outputs, tokenizer.outputs, self.end_of_text)
        return self.site.make("evaluation", [Task("evaluation", work)], {}, [held_out, tokenizer])

    def names(self) -> list[TrialName]:
        """All trials: mixes in the manifest's order, seeds from 1."""
        seeds = self.extension.proxy.seeds if self.extension.proxy is not None else 1
        return [
            TrialName(f"{mix}-seed{seed}", mix, seed)
            for mix in with_natural(self.extension.mixes)
            for seed in range(1, seeds + 1)
        ]

    def budget(self, name: TrialName) -> int | None:
        """Tokens of a trial; None where all that there are are taken."""
        proxy = self.extension.proxy
        tokens = with_natural(self.extension.mixes)[name.mix].tokens
        return tokens or (proxy.tokens if proxy is not None else None)

    def own_seed(self, name: TrialName) -> int:
        """What a trial's order and initialisation come from; the same for all mixes."""
        return 1_000 * self.seed + name.seed

    def mix(self, tokenise: Stage) -> Stage:
        """One task per mix and seed. Each has a fingerprint of its own, so that another mix or
        seed leaves the others as they are."""
        mixes = with_natural(self.extension.mixes)
        tasks = []
        for name in self.names():
            mix = mixes[name.mix]
            piles = mix.piles(self.site.view.sources)
            budget = self.budget(name)
            seed = self.own_seed(name)
            work = MixTask(name.key, name.mix, piles, budget, seed, tokenise.outputs)
            own = {
                "mixes": {name.mix: [asdict(pile) for pile in piles]},
                "proxy": {"tokens": budget},
                "seed": seed,
            }
            tasks.append(Task(name.key, work, _label(name), parameters=own, effort=budget or 0))
        return self.site.make("mix", tasks, {}, [tokenise])

    def trial(self, proxy: Proxy, mix: Stage, evaluation: Stage) -> Stage:
        model = self.extension.shape(proxy, self.site.view.folder)
        tasks = [
            Task(
                name.key,
                TrialTask(
                    key=name.key,
                    tokens=mix.outputs,
                    tokens_key=name.key,
                    evaluation=evaluation.outputs,
                    model=model,
                    seed=self.own_seed(name),
                    evaluation_name=EVALUATION,
                ),
                _label(name),
                reads=(Reads(mix.outputs, (name.key,)), Reads(evaluation.outputs)),
                parameters={"seed": self.own_seed(name)},
                effort=model.flops(self.budget(name) or 0),
            )
            for name in self.names()
        ]
        parameters = {"proxy": {"model": proxy.model}, "shape": asdict(model)}
        return self.site.make("trial", tasks, parameters, [mix, evaluation])

    def verdict(self, trial: Stage, names: Sequence[TrialName]) -> Stage:
        baseline = self.extension.baseline()
        work = VerdictTask(trial.outputs, tuple(names), baseline)
        parameters = {
            "mixes": {
                name: mix.model_dump(mode="json")
                for name, mix in with_natural(self.extension.mixes).items()
            },
            "proxy": {"baseline": baseline, "seeds": max(name.seed for name in names)},
        }
        return self.site.make("verdict", [Task("verdict", work)], parameters, [trial])


def by_name(stages: Sequence[Stage]) -> dict[str, Stage]:
    """Stages by the names they were made with."""
    return {stage.name.partition(".")[2]: stage for stage in stages}


def _label(name: TrialName) -> str:
    return f"{name.mix}, seed {name.seed}"


def _facts(stage: Stage) -> dict[str, JsonValue]:
    """Metrics of the tasks that are done, by key."""
    metrics: Mapping[str, dict[str, JsonValue]] = {
        receipt.key: receipt.metrics for receipt in stage.outputs.receipts()
    }
    return dict(metrics)


def _tokens_per_byte(stage: Stage) -> float | None:
    """Tokens per byte of training text, all sources together; None without any text."""
    tokens = bytes_ = 0
    for receipt in stage.outputs.receipts():
        sources = cast(dict[str, list[int]], receipt.metrics.get("sources", {}))
        for _, source_tokens, source_bytes in sources.values():
            tokens += source_tokens
            bytes_ += source_bytes
    return tokens / bytes_ if bytes_ else None


def _check_file(path: tuple[str, ...], target: str, value: str, folder: Path) -> Iterator[Problem]:
    """Whether an evaluation file is there and its rows have text."""
    file = folder / value
    if not file.is_file():
        yield Problem(
            path,
            "no-evaluation-file",
            f"{value!r} is neither `held_out N%` nor a file beside the manifest",
            "write `held_out 2%`, or a path relative to the manifest",
        )
        return
    try:
        if next(External(target, file, value, sha256_file(file)).documents(), None) is None:
            yield Problem(path, "empty-evaluation-file", f"{value!r} has no rows")
    except ShardError as error:
        yield Problem(path, error.code, error.message, error.hint)
