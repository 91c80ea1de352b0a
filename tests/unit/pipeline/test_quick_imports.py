from __future__ import annotations

import gc

import pytest

from pipeline.commands.quick_imports import quick_imports


def test_the_collector_rests_inside_alone() -> None:
    assert gc.isenabled()
    with quick_imports():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_collector_goes_on_after_an_error() -> None:
    with pytest.raises(KeyError), quick_imports():
        raise KeyError
    assert gc.isenabled()


def test_a_collector_that_rests_anyway_stays_so() -> None:
    gc.disable()
    try:
        with quick_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
