"""The executor that manifests have by default: worker processes on this machine."""

from __future__ import annotations

from pathlib import Path

from pipeline.executor import Executor, WorkerPool


class LocalExecutor(Executor):
    """Worker processes on this machine."""

    def start(self, logs: Path) -> WorkerPool:
        # Imported here: a manifest is checked without what tasks need.
        from pipeline.engine.local_worker_pool import LocalWorkerPool

        return LocalWorkerPool(self.workers, logs)
