"""Builds the stages of mixes, trials and their verdict on the documents that the steps keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from pydantic import JsonValue

from proxy.mixing.evaluation_files import EvaluationFile
from proxy.mixing.mixes import with_natural
from proxy.mixing.mixing_tasks import (
    HELD_OUT_TOKENS,
    CopyTokenizerTask,
    HeldOutTask,
    SampleTask,
    SplitTask,
    TokeniseHeldOutTask,
    TokeniseTask,
    TrainTokenizerTask,
)
from proxy.mixing.targets import FileTarget, SourceTarget
from proxy.proxy_settings import Proxy
from proxy.training.trial import TrialTask
from proxy.verdicts.verdict import TrialName, VerdictTask
from winnow import KEPT, BuildContext, Reads, Stage, Task, sha256_file

if TYPE_CHECKING:
    from proxy.proxy_extension import ProxyExtension


class ProxyStages:
    """Builds the extension's stages one after the other."""

    def __init__(self, extension: ProxyExtension, build: BuildContext) -> None:
        self.extension = extension
        self.build = build
        self.seed = build.view.seed
        self.end_of_text = extension.tokenizer.end_of_text

    def all(self) -> list[Stage]:
        held_out = self.held_out()
        split = self.split(held_out)
        tokenizer = self.tokenizer(split)
        tokenise = self.tokenise(split, tokenizer)
        mix = self.mix(tokenise)
        stages = [held_out, split, tokenizer, tokenise, mix]
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
        folder, targets = self.build.view.folder, self.extension.targets(self.build.view)
        sources = {name: t for name, t in targets.items() if isinstance(t, SourceTarget)}
        files = tuple(
            EvaluationFile(name, folder / target.file, target, sha256_file(folder / target.file))
            for name, target in targets.items()
            if isinstance(target, FileTarget)
        )
        spec = HeldOutTask(
            self.build.corpus.outputs,
            tuple((name, target.share) for name, target in sources.items()),
            files,
            self.seed,
            tuple((name, t.cluster) for name, t in sources.items() if t.cluster is not None),
        )
        evaluate = {name: target.model_dump(mode="json") for name, target in targets.items()}
        parameters = {"proxy": {"evaluate": evaluate}, "seed": self.seed}
        task = Task(
            "held_out",
            spec,
            reads=(Reads(self.build.corpus.outputs, under=KEPT),),
            inputs={file.settings.file: file.sha256 for file in files},
        )
        return self.build.make("held_out", [task], parameters, [self.build.corpus])

    def split(self, held_out: Stage) -> Stage:
        corpus = self.build.corpus
        tasks = [
            Task(
                task.key,
                SplitTask(corpus.outputs, task.key, held_out.outputs, self.seed),
                task.label,
                task.bytes,
                (Reads(corpus.outputs, (task.key,), KEPT), Reads(held_out.outputs)),
            )
            for task in corpus.tasks
        ]
        parameters = {"seed": self.seed}
        return self.build.make("split", tasks, parameters, [corpus, held_out])

    def tokenizer(self, split: Stage) -> Stage:
        settings, corpus = self.extension.tokenizer, self.build.corpus
        spec: CopyTokenizerTask | TrainTokenizerTask
        parameters: dict[str, JsonValue]
        reads: tuple[Reads, ...]
        if settings.file is not None:
            path = self.build.view.folder / settings.file
            spec = CopyTokenizerTask(path, sha256_file(path), settings.end_of_text)
            parameters = {**settings.model_dump(mode="json"), "sha256": spec.sha256}
            after, reads = [], ()
        else:
            vocabulary = self.extension.vocabulary(self.build.view.folder)
            spec = TrainTokenizerTask(
                corpus.outputs, split.outputs, vocabulary, settings.end_of_text
            )
            parameters = {"vocabulary": vocabulary, "end_of_text": settings.end_of_text}
            after = [corpus, split]
            reads = (Reads(corpus.outputs, under=KEPT), Reads(split.outputs))
        return self.build.make(
            "tokenizer", [Task("tokenizer", spec, reads=reads)], {"tokenizer": parameters}, after
        )

    def tokenise(self, split: Stage, tokenizer: Stage) -> Stage:
        corpus = self.build.corpus
        tasks = [
            Task(
                task.key,
                TokeniseTask(
                    corpus.outputs,
                    task.key,
                    split.outputs,
                    tokenizer.outputs,
                    self.end_of_text,
                ),
                task.label,
                task.bytes,
                (
                    Reads(corpus.outputs, (task.key,), KEPT),
                    Reads(split.outputs, (task.key,)),
                    Reads(tokenizer.outputs),
                ),
            )
            for task in corpus.tasks
        ]
        return self.build.make("tokenise", tasks, {}, [corpus, split, tokenizer])

    def evaluation(self, held_out: Stage, tokenizer: Stage) -> Stage:
        spec = TokeniseHeldOutTask(held_out.outputs, tokenizer.outputs, self.end_of_text)
        return self.build.make("evaluation", [Task("evaluation", spec)], {}, [held_out, tokenizer])

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
        """One task per mix and seed, each with parameters of its own, so that another mix or
        seed leaves the others as they are."""
        mixes = with_natural(self.extension.mixes)
        tasks = []
        for name in self.names():
            mix = mixes[name.mix]
            components = mix.components(self.build.view.sources)
            budget = self.budget(name)
            seed = self.own_seed(name)
            spec = SampleTask(name.key, name.mix, components, budget, seed, tokenise.outputs)
            own = {
                "mixes": {name.mix: [asdict(component) for component in components]},
                "proxy": {"tokens": budget},
                "seed": seed,
            }
            tasks.append(Task(name.key, spec, _label(name), parameters=own, effort=budget or 0))
        return self.build.make("mix", tasks, {}, [tokenise], version=2)

    def trial(self, proxy: Proxy, mix: Stage, evaluation: Stage) -> Stage:
        model = self.extension.shape(proxy, self.build.view.folder)
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
                    evaluation_name=HELD_OUT_TOKENS,
                ),
                _label(name),
                reads=(Reads(mix.outputs, (name.key,)), Reads(evaluation.outputs)),
                parameters={"seed": self.own_seed(name)},
                effort=model.flops(self.budget(name) or 0),
            )
            for name in self.names()
        ]
        parameters = {"proxy": {"model": proxy.model}, "shape": asdict(model)}
        return self.build.make("trial", tasks, parameters, [mix, evaluation])

    def verdict(self, trial: Stage, names: Sequence[TrialName]) -> Stage:
        baseline = self.extension.baseline()
        spec = VerdictTask(trial.outputs, tuple(names), baseline)
        parameters = {
            "mixes": {
                name: mix.model_dump(mode="json")
                for name, mix in with_natural(self.extension.mixes).items()
            },
            "proxy": {"baseline": baseline, "seeds": max(name.seed for name in names)},
        }
        return self.build.make("verdict", [Task("verdict", spec)], parameters, [trial])


def _label(name: TrialName) -> str:
    return f"{name.mix}, seed {name.seed}"
