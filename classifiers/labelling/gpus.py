"""Which GPUs a process may use: one server is started on each."""

from __future__ import annotations

import os
import shutil
import subprocess


def gpus() -> tuple[str, ...]:
    """What ``CUDA_VISIBLE_DEVICES`` of one server each may be set to; empty without a GPU.

    The GPUs named by ``CUDA_VISIBLE_DEVICES`` where it is set, else all that ``nvidia-smi`` lists,
    by UUID: numbers mean other GPUs to CUDA, which counts the fastest first, than to nvidia-smi.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        # CUDA reads the list up to the first entry that it does not know; -1 stands for none.
        devices = [device.strip() for device in named.split(",")]
        end = next((n for n, device in enumerate(devices) if device in ("", "-1")), len(devices))
        return tuple(devices[:end])
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    asked = [tool, "--query-gpu=uuid", "--format=csv,noheader"]
    # A machine whose driver does not answer has no GPU to use; servers then say what is missing.
    listed = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    return tuple(listed.stdout.split()) if listed.returncode == 0 else ()
