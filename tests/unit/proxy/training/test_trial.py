import math
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file
from shards import Write, committed

from pipeline.engine.stage import StageOutputs, TaskContext
from pipeline.errors import ShardError
from proxy.training.checkpoint import load_checkpoint
from proxy.training.evaluate import HELD_OUT_SCHEMA, evaluate
from proxy.training.sizes import ModelSpec, Recipe
from proxy.training.trial import TrialTask, curve_schema
from proxy.verdicts.comparison import read_scores

SPEC = ModelSpec(vocabulary=64, width=32, depth=2, heads=2, ffn=96, context=32)


def tokens(name: str, step: int) -> Write:
    """Writes a mix of 3,000 tokens."""
    return lambda out: (np.arange(3_000) * step % 64).astype("<u2").tofile(out / name)


def held_out(out: Path) -> None:
    rows = [
        {
            "target": "one",
            "id": str(i),
            "cluster": str(i),
            "tokens": list(range(20 + i)),
            "context": 1,
            "bytes": 50 + i,
        }
        for i in range(5)
    ]
    pq.write_table(pa.Table.from_pylist(rows, HELD_OUT_SCHEMA), out / "held_out.parquet")


@pytest.fixture
def stages(tmp_path: Path) -> tuple[StageOutputs, StageOutputs]:
    mixes = {"a": tokens("a.bin", 1), "b": tokens("b.bin", 3), "empty": lambda out: None}
    return committed(tmp_path, mixes, "mix"), committed(tmp_path, {"all": held_out}, "held")


def trial(stages, key="a-1", tokens_key="a", seed=1, recipe=None) -> TrialTask:
    tokens, evaluation = stages
    recipe = recipe or Recipe(learning_rate=0.01, batch=4)
    return TrialTask(key, tokens, tokens_key, evaluation, SPEC, seed, recipe, device="cpu")


def test_a_trial_leaves_a_model_its_curve_and_its_scores(stages, tmp_path: Path):
    outcome = trial(stages).run(TaskContext(tmp_path / "out"))
    folder = tmp_path / "out" / "a-1"
    curve = pq.read_table(folder / "curve.parquet")
    assert curve.schema.equals(curve_schema())
    assert curve["step"].to_pylist() == list(range(1, curve.num_rows + 1))
    assert outcome.metrics["tokens"] == curve["tokens"][-1].as_py() == 2_999 // 32 * 32
    assert outcome.metrics["steps"] == curve.num_rows
    assert outcome.metrics["final_loss"] < curve["loss"][0].as_py()
    weights = load_file(folder / "model.safetensors")
    assert outcome.metrics["parameters"] == sum(weight.size for weight in weights.values())
    assert outcome.metrics["flops"] == SPEC.flops(outcome.metrics["tokens"])
    scores = read_scores(folder / "evaluation.parquet", "a", 1)
    assert scores.id == ("0", "1", "2", "3", "4")
    assert scores.bytes.tolist() == [50, 51, 52, 53, 54]
    held_out = pq.read_table(stages[1].outputs("held_out.parquet")[0])
    again = evaluate(load_checkpoint(folder), held_out.cast(HELD_OUT_SCHEMA))
    assert scores.bits.tolist() == again["bits"].to_pylist()


def test_a_trial_repeated_is_byte_identical_and_survives_pickling(stages, tmp_path: Path):
    work = trial(stages)
    copy = pickle.loads(pickle.dumps(work))  # noqa: S301 (our own bytes)
    assert (
        work.run(TaskContext(tmp_path / "x")).metrics
        == copy.run(TaskContext(tmp_path / "y")).metrics
    )
    first = sorted(path for path in (tmp_path / "x").rglob("*") if path.is_file())
    assert len(first) == 5
    for path in first:
        assert path.read_bytes() == (tmp_path / "y" / path.relative_to(tmp_path / "x")).read_bytes()


def test_mixes_of_one_seed_start_from_the_same_weights(stages, tmp_path: Path):
    still = Recipe(learning_rate=0.0, batch=4)
    weights = []
    for key, tokens_key, seed in (("a-1", "a", 1), ("b-1", "b", 1), ("a-2", "a", 2)):
        trial(stages, key, tokens_key, seed, still).run(TaskContext(tmp_path / "out"))
        weights.append((tmp_path / "out" / key / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def test_each_trial_reads_the_tokens_of_its_own_key(stages, tmp_path: Path):
    losses = []
    for key in ("a", "b"):
        trial(stages, key, key).run(TaskContext(tmp_path))
        losses.append(pq.read_table(tmp_path / key / "curve.parquet")["loss"].to_pylist())
    assert losses[0] != losses[1]


def test_without_a_recipe_the_defaults_are_taken_and_recorded(stages, tmp_path: Path):
    tokens, evaluation = stages
    work = TrialTask("d", tokens, "a", evaluation, SPEC, 1, device="cpu")
    metrics = work.run(TaskContext(tmp_path)).metrics
    assert metrics["batch"] == 8
    assert math.isfinite(metrics["learning_rate"])
    assert metrics["device"] == "cpu"


def test_progress_rises_to_one(stages, tmp_path: Path):
    seen = []
    context = TaskContext(tmp_path, progress=lambda done, total: seen.append(done / total))
    trial(stages).run(context)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)


def test_fault_59_a_diverged_trial_fails_and_leaves_no_scores(stages, tmp_path: Path):
    with pytest.raises(ShardError) as caught:
        trial(stages, recipe=Recipe(learning_rate=1e30, batch=4)).run(TaskContext(tmp_path / "out"))
    assert caught.value.code == "non-finite-loss"
    assert not list(tmp_path.glob("out/**/*.parquet"))


def test_a_stage_without_a_token_file_is_named(stages, tmp_path: Path):
    with pytest.raises(ShardError, match=r"one file \.bin, found none"):
        trial(stages, tokens_key="empty").run(TaskContext(tmp_path))


def test_planning_a_trial_loads_no_torch():
    imports = "import sys, proxy.training.trial, proxy.verdicts.comparison"
    code = f"{imports}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
