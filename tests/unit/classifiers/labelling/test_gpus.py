"""GPUs that servers may use, without a GPU: what the environment and nvidia-smi say of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from classifiers.labelling.gpus import gpus


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name alone on the PATH, which lists two GPUs when asked for UUIDs."""
    path = tmp_path / "nvidia-smi"
    path.write_text(
        '#!/bin/sh\n[ "$*" = "--query-gpu=uuid --format=csv,noheader" ] || exit 2\n'
        "echo GPU-5a\necho GPU-7b\n"
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return path


def test_all_gpus_of_the_machine(nvidia_smi: Path) -> None:
    assert gpus() == ("GPU-5a", "GPU-7b")


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("1", ("1",)),
        ("2,0", ("2", "0")),
        (" GPU-5a , GPU-7b", ("GPU-5a", "GPU-7b")),
        ("MIG-1", ("MIG-1",)),
        ("", ()),
        ("-1", ()),
        ("0,-1,1", ("0",)),
    ],
)
def test_those_that_are_visible(
    nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch, named: str, expected: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert gpus() == expected


def test_none_without_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus() == ()


def test_none_when_the_driver_does_not_answer(nvidia_smi: Path) -> None:
    nvidia_smi.write_text("#!/bin/sh\necho 'could not communicate with the driver'\nexit 9\n")
    assert gpus() == ()


def test_the_environment_is_only_read(nvidia_smi: Path) -> None:
    before = dict(os.environ)
    gpus()
    assert dict(os.environ) == before
