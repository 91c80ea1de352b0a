"""Builds the stages of mixes, trials and their verdict on the documents that the steps keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from pydantic import JsonValue

from proxy.mixing.evaluation_files import EvaluationFile, parse_share
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
from proxy.proxy_settings import Proxy
from proxy.training.trial import TrialTask
from proxy.verdicts.verdict import TrialName, VerdictTask
from winnow import BuildContext, Stage, Task, digest, sha256_file

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
        shares = {target: parse_share(value) for target, value in targets.items()}
        external = [
            EvaluationFile(target, folder / targets[target], targets[target], sha256)
            for target, share in shares.items()
            if share is None
            for sha256 in [sha256_file(folder / targets[target])]
        ]
        known = tuple((t, share) for t, share in shares.items() if share is not None)
        spec = HeldOutTask(self.build.corpus.committed, known, tuple(external), self.seed)
        parameters = {
            "proxy": {"evaluate": targets},
            "files": {file.name: file.sha256 for file in external},
            "seed": self.seed,
        }
        return self.build.make(
            "held_out",
            [Task("held_out", spec)],
            parameters,
            [self.build.corpus],
            ["proxy.mixing.held_out"],
        )

    def split(self, held_out: Stage) -> Stage:
        corpus = self.build.corpus
        tasks = [
            Task(
                task.key,
                SplitTask(corpus.committed, task.key, held_out.committed, self.seed),
                task.label,
                task.bytes,
            )
            for task in corpus.tasks
        ]
        parameters = {"seed": self.seed}
        return self.build.make(
            "split", tasks, parameters, [corpus, held_out], ["proxy.mixing.split"]
        )

    def tokenizer(self, split: Stage) -> Stage:
        settings, corpus = self.extension.tokenizer, self.build.corpus
        spec: CopyTokenizerTask | TrainTokenizerTask
        parameters: dict[str, JsonValue]
        if settings.file is not None:
            path = self.build.view.folder / settings.file
            spec = CopyTokenizerTask(path, sha256_file(path), settings.end_of_text)
            parameters = {**settings.model_dump(mode="json"), "sha256": spec.sha256}
            after = []
        else:
            vocabulary = self.extension.vocabulary(self.build.view.folder)
            spec = TrainTokenizerTask(
                corpus.committed, split.committed, vocabulary, settings.end_of_text
            )
            parameters = {"vocabulary": vocabulary, "end_of_text": settings.end_of_text}
            after = [corpus, split]
        return self.build.make(
            "tokenizer",
            [Task("tokenizer", spec)],
            {"tokenizer": parameters},
            after,
            ["proxy.mixing.tokenizer"],
        )

    def tokenise(self, split: Stage, tokenizer: Stage) -> Stage:
        corpus = self.build.corpus
        tasks = [
            Task(
                task.key,
                TokeniseTask(
                    corpus.committed,
                    task.key,
                    split.committed,
                    tokenizer.committed,
                    self.end_of_text,
                ),
                task.label,
                task.bytes,
            )
            for task in corpus.tasks
        ]
        return self.build.make(
            "tokenise", tasks, {}, [corpus, split, tokenizer], ["proxy.mixing.tokenise"]
        )

    def evaluation(self, held_out: Stage, tokenizer: Stage) -> Stage:
        spec = TokeniseHeldOutTask(held_out.committed, tokenizer.committed, self.end_of_text)
        return self.build.make(
            "evaluation",
            [Task("evaluation", spec)],
            {},
            [held_out, tokenizer],
            ["proxy.mixing.tokenise"],
        )

    def names(self) -> list[TrialName]:
        """All trials: mixes in the manifest's order, seeds from 1."""
        seeds = self.extension.proxy.seeds if self.extension.proxy is not None else 1
        return [
            TrialName(f"{mix}-seed{seed}", mix, seed)
            for mix in with_natural(self.extension.mixes)
            for seed in range(1, seeds + 1)
        ]

    def own_seed(self, name: TrialName) -> int:
        """What a trial's order and initialisation come from; the same for all mixes."""
        return 1_000 * self.seed + name.seed

    def mix(self, tokenise: Stage) -> Stage:
        """One task per mix and seed. Each has a fingerprint of its own, so that another mix or
        seed leaves the others as they are."""
        mixes = with_natural(self.extension.mixes)
        proxy_tokens = self.extension.proxy.tokens if self.extension.proxy is not None else None
        tasks = []
        for name in self.names():
            mix = mixes[name.mix]
            components = mix.components(self.build.view.sources)
            budget = mix.tokens or proxy_tokens
            seed = self.own_seed(name)
            spec = SampleTask(name.key, name.mix, components, budget, seed, tokenise.committed)
            identity = digest([[asdict(component) for component in components], budget, seed])
            tasks.append(Task(name.key, spec, _label(name), fingerprint=identity))
        return self.build.make("mix", tasks, {}, [tokenise], ["proxy.mixing.mix_sample"])

    def trial(self, proxy: Proxy, mix: Stage, evaluation: Stage) -> Stage:
        model = self.extension.shape(proxy, self.build.view.folder)
        sampled = {task.key: task.fingerprint for task in mix.tasks}
        tasks = [
            Task(
                name.key,
                TrialTask(
                    key=name.key,
                    tokens=mix.committed,
                    tokens_key=name.key,
                    evaluation=evaluation.committed,
                    model=model,
                    seed=self.own_seed(name),
                    evaluation_name=HELD_OUT_TOKENS,
                ),
                _label(name),
                fingerprint=digest([sampled[name.key], asdict(model)]),
            )
            for name in self.names()
        ]
        code = [
            "proxy.training.trial",
            "proxy.training.train",
            "proxy.training.evaluate",
            "proxy.training.model",
        ]
        parameters = {"proxy": {"model": proxy.model}, "shape": asdict(model)}
        return self.build.make("trial", tasks, parameters, [mix, evaluation], code)

    def verdict(self, trial: Stage, names: Sequence[TrialName]) -> Stage:
        baseline = self.extension.baseline()
        spec = VerdictTask(trial.committed, tuple(names), baseline)
        parameters = {
            "mixes": {
                name: mix.model_dump(mode="json")
                for name, mix in with_natural(self.extension.mixes).items()
            },
            "proxy": {"baseline": baseline, "seeds": max(name.seed for name in names)},
        }
        return self.build.make(
            "verdict", [Task("verdict", spec)], parameters, [trial], ["proxy.verdicts.verdict"]
        )


def _label(name: TrialName) -> str:
    return f"{name.mix}, seed {name.seed}"
