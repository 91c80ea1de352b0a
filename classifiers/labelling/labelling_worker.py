"""The labelling worker: a process that asks the judges about the documents of one job.

``python -m classifiers.labelling.labelling_worker`` reads the job from its standard input. It runs
in a session of its own, so that a killed run does not lose what it has paid for: when its standard
input ends, the worker asks nothing new, waits for the answers under way, writes them down, stops
the server and ends.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, suppress

import pyarrow.parquet as pq

from classifiers.judges.answers import Answer
from classifiers.judges.completions_judge import CompletionsJudge
from classifiers.judges.judge import Judge, LabelRequest, RequestError
from classifiers.judges.judge_config import EndpointSpec
from classifiers.judges.judge_identity import judge_id, label_key, model_name, revision_of
from classifiers.judges.local_judge import LocalJudge
from classifiers.judges.prompts import document_id
from classifiers.labelling.budget import BudgetTracker
from classifiers.labelling.label_store import LabelStore, Stored
from classifiers.labelling.labelling_job import Job, Pass, WorkerStatus
from classifiers.labelling.model_probes import TRIES, ModelMonitor, ModelProbes
from classifiers.labelling.request_loop import BUDGET_SPENT, RequestLoop, RetryPolicy
from classifiers.labelling.server_launcher import JudgeLauncher, local_tokenizer, tokenizer_for
from classifiers.labelling.slot_pool import SlotPool
from winnow import Refusal, WinnowError

CHUNK = 16  # documents claimed at once
STATUS_EVERY_S = 0.5
OTHERS = 500  # documents that another process asks about, looked up at once
WAIT_FOR_OTHERS_S = 0.5
RENEW_S = 30.0
CHAT = "chat"  # in place of a tokenizer, where the server has it
MOST_JOB_BYTES = 2**24


class LabellingWorker:
    """Does one job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.store = LabelStore(job.store)
        self.judge = ""
        self.revision = ""
        self.total = self.from_store = self.lost = 0
        self._loop: RequestLoop | None = None
        self._done_before = 0
        self._written_at = 0.0
        self._ending = False

    # --- what there is to ask ---

    def texts(self, part: Pass) -> Iterator[list[str]]:
        """The distinct texts of a pass, a chunk at a time."""
        seen: set[bytes] = set()
        with pq.ParquetFile(part.texts) as file:
            for batch in file.iter_batches(CHUNK, columns=["text"]):
                chunk = []
                for text in batch.column(0).to_pylist():
                    if (document := document_id(text)) not in seen:
                        seen.add(document)
                        chunk.append(text)
                yield chunk

    def keys(self, part: Pass, judge: str) -> list[bytes]:
        request = part.wording(self.job).id
        return [
            label_key(judge, request, document_id(text), part.repeat)
            for chunk in self.texts(part)
            for text in chunk
        ]

    def known_judge(self) -> str:
        """A judge of the store that has answered everything already; empty when there is none.

        Then neither the server is needed nor the model.
        """
        spec, folder = self.job.server, self.job.folder
        for judge, revision, tokenizer in self.store.judges(model_name(spec), self.revision):
            if judge != judge_id(spec, revision, tokenizer):
                continue  # with other options
            if isinstance(spec, EndpointSpec) and (tokenizer == CHAT) != (spec.api == "chat"):
                continue
            if all(
                len(self.store.find(keys)) == len(keys)
                for part in self.job.passes
                for keys in [self.keys(part, judge)]
            ) and tokenizer == (local_tokenizer(spec, folder) or tokenizer):
                return judge
        return ""

    # --- the job ---

    async def run(self) -> None:
        """Label everything. Raises RequestError or WinnowError."""
        job = self.job
        self.revision = revision_of(job.server, job.folder)
        if judge := self.known_judge():
            self.judge = judge
            self.total = self.from_store = sum(len(self.keys(p, judge)) for p in job.passes)
            self._done_before = self.total
            return
        tokenizer = tokenizer_for(job.server, job.folder)
        digest = tokenizer.digest if tokenizer is not None else CHAT
        self.judge = judge_id(job.server, self.revision, digest)
        self.store.add_judge(self.judge, model_name(job.server), self.revision, digest)
        for part in job.passes:
            wording = part.wording(job)
            self.store.add_request(wording.id, wording.settings)
            keys = self.keys(part, self.judge)
            self.total += len(keys)
            self.from_store += len(self.store.find(keys))
            self.lost += self.store.abandoned(job.id, "", keys)
        if self.from_store == self.total:
            self._done_before = self.total
            return
        earlier = self.store.gpu_seconds(job.id)
        launcher = JudgeLauncher(job.server, job.folder, tokenizer, self.store, job.id, job.log)
        async with launcher, renewing(self.store, launcher):
            budget = BudgetTracker(
                job.budget,
                job.server.price,
                self.store.attempts(job.id),
                lambda: earlier + launcher.gpu_seconds,
            )
            await self._passes(launcher.judges, budget)

    async def _passes(self, judges: list[Judge], budget: BudgetTracker) -> None:
        job = self.job
        pool = SlotPool(judges, job.most_at_once)
        self._monitor = ModelMonitor(
            self.store, job.id, ModelProbes(self.store, self.judge), judges, budget
        )
        try:
            await self._monitor.start(job.passes[0].wording(job))
            try:
                await self._ask(pool, budget)
            except RequestError as failure:
                if failure.code == "too-many-errors":  # perhaps of another model
                    await self._monitor.check()
                    self._forget_refusals()
                raise
            await self._monitor.check(TRIES)
        except RequestError as failure:
            if failure.code == "model-changed":
                self._monitor.withdraw()
            raise
        finally:
            await pool.close()
        if self._loop is not None and self._loop.stopped == BUDGET_SPENT:
            raise self._budget_spent(budget)

    def _forget_refusals(self) -> None:
        """Forget documents without a label: so many come from the server (such as its longest
        context), and they are asked about again once it is mended."""
        for part in self.job.passes:
            found = self.store.find(self.keys(part, self.judge))
            self.store.withdraw([key for key, label in found.items() if not label.answer.labels])

    async def _ask(self, pool: SlotPool, budget: BudgetTracker) -> None:
        """Pass after pass, until one is stopped."""
        job = self.job
        for part in job.passes:
            if self._loop is not None:
                self._done_before += self._loop.done + self._loop.known
            loop = self._loop = RequestLoop(
                self.store,
                job.id,
                pool,
                budget,
                RetryPolicy(errors=job.most_errors),
                least_mass=job.least_mass,
                store_label=self._stored,
                after_each=self._after,
            )
            if self._ending:
                return
            await loop.run(self._requests(part, pool.slots[0].judge, loop))
            if loop.stopped:
                return

    def _stored(self, request: LabelRequest, answer: Answer) -> Stored:
        paid = request.paid
        document = document_id(request.text)
        return Stored(
            request.key, self.judge, request.wording.id, document, request.repeat, answer,
            paid.prompt, paid.completion,
        )  # fmt: skip

    async def _after(self, request: LabelRequest) -> None:
        await self._monitor.finished(request)
        now = time.monotonic()
        if now >= self._written_at + STATUS_EVERY_S:
            self._written_at = now
            write_status(self.status())

    async def _requests(
        self, part: Pass, judge: Judge, loop: RequestLoop
    ) -> AsyncGenerator[LabelRequest, None]:
        """Documents without a label, claimed; those that another process asks about come last, if
        it leaves them without one."""
        wording = part.wording(self.job)
        others: dict[bytes, str] = {}
        for chunk in self.texts(part):
            keyed = {
                label_key(self.judge, wording.id, document_id(text), part.repeat): text
                for text in chunk
            }
            mine, taken = self.store.claim(list(keyed))
            loop.known += len(keyed) - len(mine) - len(taken)
            others.update({key: keyed[key] for key in taken})
            requests = [
                LabelRequest(key, keyed[key], wording, part.purpose, part.repeat) for key in mine
            ]
            async with aclosing(self._handed_out(requests, judge)) as handed_out:
                async for request in handed_out:
                    yield request
        while others and not loop.is_over:
            await asyncio.sleep(WAIT_FOR_OTHERS_S)
            keys = list(others)
            for start in range(0, len(keys), OTHERS):
                some = keys[start : start + OTHERS]
                self.lost += self.store.abandoned(self.job.id, "", some)
                mine, taken = self.store.claim(some)
                loop.known += len(some) - len(mine) - len(taken)
                texts = {key: others.pop(key) for key in set(some) - set(taken)}
                requests = [
                    LabelRequest(key, texts[key], wording, part.purpose, part.repeat)
                    for key in mine
                ]
                async with aclosing(self._handed_out(requests, judge)) as handed_out:
                    async for request in handed_out:
                        yield request

    async def _handed_out(
        self, requests: list[LabelRequest], judge: Judge
    ) -> AsyncGenerator[LabelRequest, None]:
        """Claimed documents, tokenised; the claims of those that are not taken are given back."""
        left = list(requests)
        try:
            await encoded(requests, judge)
            while left:
                yield left.pop(0)
        finally:
            if left:
                self.store.release([request.key for request in left])

    def _budget_spent(self, budget: BudgetTracker) -> RequestError:
        message = f"the budget is spent ({budget}); {self._done} of {self.total} documents are done"
        hint = "raise label.budget and run again: what is paid for is kept"
        return RequestError("fatal", "budget-spent", message, hint=hint)

    def end(self) -> None:
        """The labels are no longer wanted: ask about nothing new."""
        self._ending = True
        if self._loop is not None:
            self._loop.stop("stopped")

    @property
    def is_requesting(self) -> bool:
        return self._loop is not None

    @property
    def _done(self) -> int:
        loop = self._loop
        return self._done_before + (loop.done + loop.known if loop is not None else 0)

    def status(self) -> WorkerStatus:
        return WorkerStatus(
            done=self._done, total=self.total, judge=self.judge, revision=self.revision,
            from_store=self.from_store, lost=self.lost,
        )  # fmt: skip


async def encoded(requests: list[LabelRequest], judge: Judge) -> list[LabelRequest]:
    """The same, tokenised in a thread where the judge takes tokens."""
    if requests and isinstance(judge, CompletionsJudge | LocalJudge):
        maker = judge.makers.of(requests[0].wording)
        ids = await asyncio.to_thread(maker.encode, [request.text for request in requests])
        for request, found in zip(requests, ids, strict=True):
            request.ids = found
    return requests


@asynccontextmanager
async def renewing(store: LabelStore, launcher: JudgeLauncher) -> AsyncIterator[None]:
    """Meanwhile, note now and then that this process lives, and how long its servers have run."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            with suppress(Refusal):  # the next write of labels raises it too
                store.renew()
                launcher.note()

    task = asyncio.create_task(renew())
    try:
        yield
    finally:
        task.cancel()


def write_status(status: WorkerStatus) -> None:
    """Write a line to the launcher, if that still reads."""
    with suppress(BrokenPipeError):
        print(status.model_dump_json(exclude_defaults=True), flush=True)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MOST_JOB_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    line = await reader.readline()
    if not line:
        return  # the launcher has ended already
    try:
        worker = LabellingWorker(Job.model_validate_json(line))
    except WinnowError as error:  # no label store
        write_status(
            WorkerStatus(code=error.code, message=error.message, hint=error.hint, ended=True)
        )
        return
    run = asyncio.create_task(worker.run())

    async def until_input_ends() -> None:
        await reader.read()
        worker.end()
        if not worker.is_requesting:  # no answer is under way that would be lost
            run.cancel()

    listening = asyncio.create_task(until_input_ends())
    loop.add_signal_handler(signal.SIGTERM, reader.feed_eof)
    try:
        await run
    except asyncio.CancelledError:
        return
    except (RequestError, WinnowError) as error:
        status = worker.status().model_copy(
            update={"code": error.code, "message": error.message, "hint": error.hint}
        )
        write_status(status.model_copy(update={"ended": True}))
    else:
        write_status(worker.status().model_copy(update={"ended": True}))
    finally:
        listening.cancel()
        worker.store.close()


if __name__ == "__main__":
    asyncio.run(_serve())
