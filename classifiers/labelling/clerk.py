"""The process that asks: ``python -m classifiers.labelling.clerk``, a job on its standard input.

It is a process of its own, in a session of its own, so that a run that is killed does not lose
what it has paid for: when its standard input ends, the clerk asks nothing new, waits for the
answers under way, writes them down, stops the server and is gone.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, suppress

import pyarrow.parquet as pq

from classifiers.labelling.answers import Answer
from classifiers.labelling.asking import BUDGET_SPENT, Asking, Patience
from classifiers.labelling.completions_judge import CompletionsJudge
from classifiers.labelling.config import EndpointSpec
from classifiers.labelling.hiring import Hired, codec_for, local_tokenizer
from classifiers.labelling.identity import judge_id, label_key, model_name, revision_of
from classifiers.labelling.job import Job, Pass, Told
from classifiers.labelling.judge import Judge, Trouble, Work
from classifiers.labelling.local_judge import LocalJudge
from classifiers.labelling.meter import Meter
from classifiers.labelling.pool import Pool
from classifiers.labelling.probes import TRIES, Probes, Watch
from classifiers.labelling.prompts import document_id
from classifiers.labelling.store import LabelStore, Stored
from winnow import Refusal, WinnowError

CHUNK = 16  # documents claimed at once
TELL_EVERY_S = 0.5
OTHERS = 500  # documents that another process asks about, looked up at once
WAIT_FOR_OTHERS_S = 0.5
BEAT_S = 30.0
CHAT = "chat"  # in place of a tokenizer, where the server has it
MOST_JOB_BYTES = 2**24


class Clerk:
    """Does one job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.store = LabelStore(job.store)
        self.judge = ""
        self.revision = ""
        self.total = self.from_store = self.lost = 0
        self._asking: Asking | None = None
        self._done_before = 0
        self._told = 0.0
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

    async def work(self) -> None:
        """Label everything. Raises Trouble or WinnowError."""
        job = self.job
        self.revision = revision_of(job.server, job.folder)
        if judge := self.known_judge():
            self.judge = judge
            self.total = self.from_store = sum(len(self.keys(p, judge)) for p in job.passes)
            self._done_before = self.total
            return
        codec = codec_for(job.server, job.folder)
        tokenizer = codec.digest if codec is not None else CHAT
        self.judge = judge_id(job.server, self.revision, tokenizer)
        self.store.add_judge(self.judge, model_name(job.server), self.revision, tokenizer)
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
        hired = Hired(job.server, job.folder, codec, self.store, job.id, job.log)
        async with hired, beating(self.store, hired):
            meter = Meter(
                job.budget,
                job.server.price,
                self.store.attempts(job.id),
                lambda: earlier + hired.gpu_seconds,
            )
            await self._passes(hired.judges, meter)

    async def _passes(self, judges: list[Judge], meter: Meter) -> None:
        job = self.job
        pool = Pool(judges, job.most_at_once)
        self._watch = Watch(self.store, job.id, Probes(self.store, self.judge), judges, meter)
        try:
            await self._watch.begin(job.passes[0].wording(job))
            try:
                await self._ask(pool, meter)
            except Trouble as trouble:
                if trouble.code == "too-many-errors":  # perhaps of another model
                    await self._watch.look()
                    self._forget_refusals()
                raise
            await self._watch.look(TRIES)
        except Trouble as trouble:
            if trouble.code == "model-changed":
                self._watch.withdraw()
            raise
        finally:
            await pool.close()
        if self._asking is not None and self._asking.stopped == BUDGET_SPENT:
            raise self._budget_spent(meter)

    def _forget_refusals(self) -> None:
        """So many refusals are the server's doing (its longest context, say), not the documents':
        they are asked about again once it is mended. What has a label keeps it."""
        for part in self.job.passes:
            found = self.store.find(self.keys(part, self.judge))
            self.store.withdraw([key for key, label in found.items() if not label.answer.labels])

    async def _ask(self, pool: Pool, meter: Meter) -> None:
        """Pass after pass, until one is stopped."""
        job = self.job
        for part in job.passes:
            if self._asking is not None:
                self._done_before += self._asking.done + self._asking.known
            asking = self._asking = Asking(
                self.store,
                job.id,
                pool,
                meter,
                Patience(errors=job.most_errors),
                least_mass=job.least_mass,
                store_label=self._stored,
                after_each=self._after,
            )
            if self._ending:
                return
            await asking.run(self._works(part, pool.seats[0].judge, asking))
            if asking.stopped:
                return

    def _stored(self, work: Work, answer: Answer) -> Stored:
        paid = work.paid
        document = document_id(work.text)
        return Stored(
            work.key, self.judge, work.wording.id, document, work.repeat, answer,
            paid.prompt, paid.completion,
        )  # fmt: skip

    async def _after(self, work: Work) -> None:
        await self._watch.finished(work)
        now = time.monotonic()
        if now >= self._told + TELL_EVERY_S:
            self._told = now
            tell(self.said())

    async def _works(self, part: Pass, judge: Judge, asking: Asking) -> AsyncGenerator[Work, None]:
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
            asking.known += len(keyed) - len(mine) - len(taken)
            others.update({key: keyed[key] for key in taken})
            works = [Work(key, keyed[key], wording, part.purpose, part.repeat) for key in mine]
            async with aclosing(self._handed_out(works, judge)) as handed_out:
                async for work in handed_out:
                    yield work
        while others and not asking.is_over:
            await asyncio.sleep(WAIT_FOR_OTHERS_S)
            keys = list(others)
            for start in range(0, len(keys), OTHERS):
                some = keys[start : start + OTHERS]
                self.lost += self.store.abandoned(self.job.id, "", some)
                mine, taken = self.store.claim(some)
                asking.known += len(some) - len(mine) - len(taken)
                texts = {key: others.pop(key) for key in set(some) - set(taken)}
                works = [Work(key, texts[key], wording, part.purpose, part.repeat) for key in mine]
                async with aclosing(self._handed_out(works, judge)) as handed_out:
                    async for work in handed_out:
                        yield work

    async def _handed_out(self, works: list[Work], judge: Judge) -> AsyncGenerator[Work, None]:
        """Claimed documents, tokenised; the claims of those that nobody wants are given back."""
        left = list(works)
        try:
            await encoded(works, judge)
            while left:
                yield left.pop(0)
        finally:
            if left:
                self.store.release([work.key for work in left])

    def _budget_spent(self, meter: Meter) -> Trouble:
        message = f"the budget is spent ({meter}); {self._done} of {self.total} documents are done"
        hint = "raise label.budget and run again: what is paid for is kept"
        return Trouble("fatal", "budget-spent", message, hint=hint)

    def end(self) -> None:
        """Nobody wants the labels any more."""
        self._ending = True
        if self._asking is not None:
            self._asking.stop("stopped")

    @property
    def is_asking(self) -> bool:
        return self._asking is not None

    @property
    def _done(self) -> int:
        asking = self._asking
        return self._done_before + (asking.done + asking.known if asking is not None else 0)

    def said(self) -> Told:
        return Told(
            done=self._done, total=self.total, judge=self.judge, revision=self.revision,
            from_store=self.from_store, lost=self.lost,
        )  # fmt: skip


async def encoded(works: list[Work], judge: Judge) -> list[Work]:
    """The same, tokenised in a thread where the judge takes tokens."""
    if works and isinstance(judge, CompletionsJudge | LocalJudge):
        maker = judge.makers.of(works[0].wording)
        ids = await asyncio.to_thread(maker.encode, [work.text for work in works])
        for work, found in zip(works, ids, strict=True):
            work.ids = found
    return works


@asynccontextmanager
async def beating(store: LabelStore, hired: Hired) -> AsyncIterator[None]:
    """Meanwhile, note now and then that this process lives, and how long its servers have run."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            with suppress(Refusal):  # whoever writes labels will say it
                store.renew()
                hired.note()

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()


def tell(said: Told) -> None:
    """A line to whoever has hired this clerk; nothing when nobody listens any more."""
    with suppress(BrokenPipeError):
        print(said.model_dump_json(exclude_defaults=True), flush=True)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MOST_JOB_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    line = await reader.readline()
    if not line:
        return  # whoever started this process is gone already
    try:
        clerk = Clerk(Job.model_validate_json(line))
    except WinnowError as error:  # no label store
        tell(Told(code=error.code, message=error.message, hint=error.hint, ended=True))
        return
    work = asyncio.create_task(clerk.work())

    async def until_nobody_wants_it() -> None:
        await reader.read()
        clerk.end()
        if not clerk.is_asking:  # a server that is starting is waited for by nobody
            work.cancel()

    listening = asyncio.create_task(until_nobody_wants_it())
    loop.add_signal_handler(signal.SIGTERM, reader.feed_eof)
    try:
        await work
    except asyncio.CancelledError:
        return
    except (Trouble, WinnowError) as error:
        said = clerk.said().model_copy(
            update={"code": error.code, "message": error.message, "hint": error.hint}
        )
        tell(said.model_copy(update={"ended": True}))
    else:
        tell(clerk.said().model_copy(update={"ended": True}))
    finally:
        listening.cancel()
        clerk.store.close()


if __name__ == "__main__":
    asyncio.run(_serve())
