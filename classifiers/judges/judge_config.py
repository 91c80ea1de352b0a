"""What a manifest says about a judge: which server, which model, what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from winnow import Problem

Truncation = Literal["head", "ends"]


class Part(BaseModel):
    """A part of a step's configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Prices(Part):
    """What a server costs, in one currency; for the ledger and for ``budget.money``."""

    prompt: float = Field(default=0, ge=0, description="per million prompt tokens")
    cached: float | None = Field(
        default=None, ge=0, description="per million prompt tokens that were cached (as `prompt`)"
    )
    completion: float = Field(default=0, ge=0, description="per million generated tokens")
    gpu_hour: float = Field(default=0, ge=0, description="per hour of one GPU")


class _Server(Part):
    model: str = Field(min_length=1, description="folder of a model, or its name on the hub")
    revision: str = Field(
        default="", description="commit of a model on the hub; for a folder, what it must hold"
    )
    price: Prices = Field(default=Prices(), description="what it costs")
    template_args: Mapping[str, JsonValue] = Field(
        default={"enable_thinking": False}, description="variables for the chat template"
    )

    def model_folder(self, folder: Path) -> Path | None:
        """The model's folder, as seen from the manifest's; None when it is a name."""
        path = folder / self.model
        return path if path.is_dir() else None

    def check(self, folder: Path) -> Iterator[Problem]:
        """Problems with paths relative to the server."""
        if self.model_folder(folder) is None and not self.revision:
            message = f"there is no folder {self.model!r}, and a name on the hub has many revisions"
            hint = "mend the path, or pin the hub's commit with revision: …"
            yield Problem(("model",), "no-revision", message, hint)


class VllmSpec(_Server):
    """A vLLM that is started here, one per GPU, and stopped afterwards."""

    kind: Literal["vllm"] = Field(description="vLLM servers of our own, one per GPU")
    # bool comes first: where int does, pydantic writes true as 1.
    args: Mapping[str, bool | int | float | str] = Field(
        default={}, description="options of `vllm serve`, without the dashes"
    )
    command: str = Field(
        default="", description="the vllm program; by default $WINNOW_VLLM or PATH"
    )


class EndpointSpec(_Server):
    """A server that speaks OpenAI's protocol and is already there."""

    kind: Literal["endpoint"] = Field(description="a server that somebody else runs")
    url: str = Field(
        # No user:password@: it would stand in every message about the server.
        pattern=r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$",
        description="up to and without /v1",
    )
    api: Literal["completions", "chat"] = Field(
        default="completions",
        description="completions takes token ids, so that a document cannot contain control "
        "tokens; chat is for servers that do not",
    )
    tokenizer: str = Field(
        default="", description="folder or hub name of the tokenizer; by default that of `model`"
    )
    key_env: str = Field(
        default="", pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$",
        description="name of the environment variable that holds the key",
    )  # fmt: skip

    def check(self, folder: Path) -> Iterator[Problem]:
        """The model need not be here; the tokenizer must, where token ids are sent."""
        if self.api == "completions" and not self.revision:
            source = self.tokenizer or self.model
            if not (folder / source).is_dir():
                message = f"there is no folder {source!r} with the tokenizer"
                hint = (
                    "name one with tokenizer: …, pin the hub's with revision: …, or set api: chat"
                )
                place = ("tokenizer",) if self.tokenizer else ("model",)
                yield Problem(place, "no-tokenizer", message, hint)


class TransformersSpec(_Server):
    """The model in this very process: slower, and the reference for what servers answer."""

    kind: Literal["transformers"] = Field(description="the model in this process")
    device: str = Field(default="auto", description="cpu, cuda, cuda:1 …; auto takes a GPU if any")


ServerSpec = Annotated[VllmSpec | EndpointSpec | TransformersSpec, Field(discriminator="kind")]
