"""One trial: a mix's tokens and a seed in; a model, its loss curve and its evaluation out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.training.sizes import ModelSpec, Recipe, default_recipe
from winnow import ShardError, StageOutputs, TaskContext, TaskResult

if TYPE_CHECKING:
    import pyarrow as pa

EVALUATION = "evaluation.parquet"
CURVE = "curve.parquet"

# Share of a trial's progress that training is; evaluation is the rest.
_TRAINING = 0.9


def curve_schema() -> pa.Schema:
    """The columns of curve.parquet, one row for each step."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("step", pa.int64(), nullable=False),
            pa.field("tokens", pa.int64(), nullable=False),
            pa.field("loss", pa.float64(), nullable=False),
            pa.field("lr", pa.float64(), nullable=False),
        ]
    )


@dataclass(frozen=True)
class TrialTask:
    """Train on one committed token file, then evaluate. Files go into the folder ``key``:
    config.json, model.safetensors and its digest, curve.parquet, evaluation.parquet.

    ``tokens`` has one ``.bin`` output (token_files) for ``tokens_key``; the only output
    of ``evaluation`` that ends with ``evaluation_name`` has evaluate.HELD_OUT_SCHEMA.
    Initialisation depends on ``seed`` and ``model`` alone, so mixes with the same seed start from
    the same weights. ``recipe`` None takes the defaults for the file's tokens.
    """

    key: str
    tokens: StageOutputs
    tokens_key: str
    evaluation: StageOutputs
    model: ModelSpec
    seed: int
    recipe: Recipe | None = None
    device: str = "auto"
    evaluation_name: str = "held_out.parquet"

    def run(self, context: TaskContext) -> TaskResult:
        # Here and not above, so that planning needs no torch and no pyarrow.
        import pyarrow as pa
        import pyarrow.parquet as pq

        from proxy.training.checkpoint import save_checkpoint
        from proxy.training.evaluate import evaluate, read_held_out
        from proxy.training.train import read_tokens, train

        tokens = read_tokens(_only(self.tokens.outputs(key=self.tokens_key), ".bin"), self.model)
        held_out = read_held_out(
            _only(self.evaluation.outputs(), self.evaluation_name), self.model.vocabulary
        )
        recipe = self.recipe or default_recipe(self.model, len(tokens))
        model, curve = train(
            self.model,
            recipe,
            tokens,
            self.seed,
            self.device,
            lambda done, total: context.progress(_TRAINING * done / total, 1.0),
        )
        scores = evaluate(
            model,
            held_out,
            progress=lambda done, total: context.progress(
                _TRAINING + (1 - _TRAINING) * done / total, 1.0
            ),
        )
        folder = context.out / self.key
        save_checkpoint(model, folder)
        steps = list(range(1, len(curve.loss) + 1))
        columns = [steps, list(curve.tokens), list(curve.loss), list(curve.learning_rate)]
        arrays = [pa.array(c, f.type) for c, f in zip(columns, curve_schema(), strict=True)]
        table = pa.table(arrays, schema=curve_schema())
        pq.write_table(table, folder / CURVE, write_page_checksum=True)
        pq.write_table(scores, folder / EVALUATION, write_page_checksum=True)
        return TaskResult(
            metrics={
                "parameters": self.model.parameters,
                "tokens": curve.tokens[-1],
                "steps": len(curve.loss),
                "batch": recipe.batch,
                "learning_rate": recipe.learning_rate,
                "final_loss": curve.final_loss,
                "flops": self.model.flops(curve.tokens[-1]),
                "device": next(model.parameters()).device.type,
            }
        )


def _only(paths: list[Path], suffix: str) -> Path:
    found = [path for path in paths if path.name.endswith(suffix)]
    if len(found) != 1:
        names = ", ".join(path.name for path in found or paths) or "none"
        raise ShardError("trial-input", f"expected one file {suffix}, found {names}")
    return found[0]
