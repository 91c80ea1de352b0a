import hashlib
import json
from pathlib import Path

import pytest
import torch

from pipeline.errors import ShardError
from proxy.training.checkpoint import CONFIG, DIGEST, WEIGHTS, load_checkpoint, save_checkpoint
from proxy.training.model import initialise
from proxy.training.sizes import ModelSpec

SPEC = ModelSpec(vocabulary=300, width=32, depth=2, heads=2, ffn=96, context=64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_checkpoint(initialise(SPEC, seed=4), tmp_path / "trial")
    return tmp_path / "trial"


def test_what_was_saved_is_loaded(folder: Path):
    loaded, original = load_checkpoint(folder), initialise(SPEC, seed=4)
    assert loaded.spec == SPEC
    for name, weight in original.export().items():
        assert torch.equal(loaded.export()[name], weight)


def test_equal_weights_give_equal_bytes(folder: Path, tmp_path: Path):
    save_checkpoint(initialise(SPEC, seed=4), tmp_path / "again")
    for name in (CONFIG, WEIGHTS, DIGEST):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == sorted([CONFIG, WEIGHTS, DIGEST])


def test_the_digest_is_that_of_sha256sum(folder: Path):
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    assert (folder / DIGEST).read_text() == f"{digest}  {WEIGHTS}\n"


@pytest.mark.parametrize("length", [0, 8, 1_000, -1])
def test_fault_60_a_truncated_checkpoint_is_refused(folder: Path, length: int):
    weights = folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:length])
    with pytest.raises(ShardError, match="sha256") as caught:
        load_checkpoint(folder)
    assert caught.value.code == "checkpoint"
    assert caught.value.hint


def test_one_flipped_bit_is_found(folder: Path):
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-5] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    with pytest.raises(ShardError, match="sha256"):
        load_checkpoint(folder)


def test_weights_that_do_not_fit_their_configuration_are_refused(folder: Path):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(ShardError, match="does not fit"):
        load_checkpoint(folder)


def test_nothing_is_pickled(folder: Path):
    header = (folder / WEIGHTS).read_bytes()
    assert json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])
