"""What makes commands start sooner."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager


def leave_out_plugins() -> None:
    """Keep pydantic, at the first model, from looking for plugins of its own in the metadata of
    every installed package: none of our models is meant for one. typer makes models too, so this
    comes before it reads the arguments."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import and define classes in here without the garbage collector.

    It looks through all objects again and again while modules are loaded, which leave no garbage;
    what was loaded is exempt from later collections too, and so are its copies in workers.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
