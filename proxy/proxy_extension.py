"""The manifest's ``tokenizer``, ``mixes`` and ``proxy``: from kept documents to a verdict.

Loading a manifest imports this module, so it imports neither torch nor compiled kernels: stages
and report sections import what they need when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, JsonValue

from proxy.mixing.mixes import Mix, with_natural
from proxy.mixing.targets import DEFAULT_SHARE, FileTarget, SourceTarget
from proxy.proxy_checks import check_proxy
from proxy.proxy_results import proxy_results, stages_by_name
from proxy.proxy_settings import DEFAULT_MODEL, Proxy, TokenizerSpec
from proxy.training.sizes import ModelSpec, default_vocabulary, model_spec
from winnow import BuildContext, Extension, ManifestView, Problem, ReportSection, Stage


class ProxyExtension(Extension):
    """Mixes, their tokens, and the trials that compare them."""

    tokenizer: TokenizerSpec = Field(
        default_factory=TokenizerSpec, description="The byte-level BPE tokenizer of the run."
    )
    mixes: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")], Mix] = Field(
        default_factory=dict,
        description="Mixes by name, sampled from the documents that the steps keep. A "
        "proportional one, `natural`, is always there.",
    )
    proxy: Proxy | None = Field(default=None, description="Trials; none when it is left out.")

    def check(self, view: ManifestView) -> Iterator[Problem]:
        return check_proxy(self, view)

    def stages(self, context: BuildContext) -> list[Stage]:
        if not self.mixes and self.proxy is None:
            return []
        from proxy.proxy_stages import ProxyStages

        return ProxyStages(self, context).all()

    def results(self, stages: Sequence[Stage]) -> dict[str, JsonValue]:
        return proxy_results(stages)

    def report_sections(self, stages: Sequence[Stage]) -> list[ReportSection]:
        from proxy.verdicts.proxy_report import sections

        found = {name: stage.outputs for name, stage in stages_by_name(stages).items()}
        return sections(found) if found else []

    def targets(self, view: ManifestView) -> dict[str, SourceTarget | FileTarget]:
        """What is evaluated by target, as in the manifest; {} without a proxy."""
        if self.proxy is None:
            return {}
        default = SourceTarget(held_out=f"{100 * DEFAULT_SHARE:g}%")
        everything: dict[str, SourceTarget | FileTarget] = dict.fromkeys(view.sources, default)
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
            from proxy.mixing.tokenizer import load_encoder

            return load_encoder(folder / spec.file, spec.end_of_text).vocabulary
        model = self.proxy.model if self.proxy is not None else DEFAULT_MODEL
        return spec.vocabulary or default_vocabulary(model)
