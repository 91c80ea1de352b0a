from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "tokenizers", "transformers", "scipy", "numba", "altair", "sklearn"}
FIND = """
import sys
sys.path.insert(0, {root!r})
import winnow
before = set(sys.modules)
import {module}
print(*sorted({{name.split(".")[0] for name in set(sys.modules) - before}}))
"""


@pytest.mark.parametrize("module", ["proxy.proxy_extension", "proxy.proxy_stages"])
def test_checking_and_planning_load_no_heavy_library(root: Path, module: str) -> None:
    code = FIND.format(root=str(root), module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(done.stdout.split())
