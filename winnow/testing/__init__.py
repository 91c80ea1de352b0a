"""What tests of a plug-in need: documents, runs of a step in memory, and a workbench for stages."""

from pipeline.engine.warm_up import warm_up
from winnow.testing.documents import documents

__all__ = ["documents", "warm_up"]
