"""What tests need that may be missing, and the rule for it.

A missing part skips the test and says its name, unless ``WINNOW_REQUIRE`` lists it: then it fails.
"""

from __future__ import annotations

import os

import pytest


def need(name: str, present: bool) -> None:
    """Skip the test when the part called ``name`` is not ``present``, or fail if required."""
    if present:
        return
    if name in os.environ.get("WINNOW_REQUIRE", "").split(","):
        pytest.fail(f"{name} is required by WINNOW_REQUIRE and missing")
    pytest.skip(f"{name} is missing")
