"""The label store: answers of judges, shared by all runs of a user, so that none is paid for twice.

One SQLite file. A label's key is a digest of the judge, the request (rubric, template, truncation,
sampling) and the document's text, so an entry can never be stale. A *claim* says that a living
process is asking right now: another one waits for its answer instead of asking too. It is *sent*
once a server may have received it. *Attempts* are the ledger: every request that was answered or
may have been, with what it cost.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from classifiers.judges.answers import Answer, Label
from winnow import Refusal, process_birth

# A claim of a process that cannot be seen (on another host, in another container) ends when it has
# not been renewed for so long.
LEASE_S = 600.0
Holder = tuple[str, int, int]  # host, process id, when it began


def me() -> Holder:
    """This process."""
    return socket.gethostname(), os.getpid(), process_birth(os.getpid()) or 0


def is_alive(host: str, pid: int, born: int, seen: float) -> bool:
    """Whether a holder still lives; of one on another host only its last renewal is known."""
    if host != socket.gethostname():
        return time.time() < seen + LEASE_S
    return process_birth(pid) == born


VERSION = 1
CHUNK = 500  # variables of one SQL statement; SQLite allows 32,766

_TABLES = """
create table if not exists judges (
    judge text primary key, model text not null, revision text not null,
    tokenizer text not null, probe text);
create table if not exists requests (request text primary key, settings text not null);
create table if not exists labels (
    key blob primary key, judge text not null, request text not null, document blob not null,
    repeat integer not null, answer text not null, prompt_tokens integer not null,
    completion_tokens integer not null) without rowid;
create table if not exists claimed (
    key blob primary key, host text not null, pid integer not null, born integer not null,
    seen real not null, sent integer not null) without rowid;
create table if not exists attempts (
    id integer primary key, job text not null, engine text not null, key blob,
    purpose text not null, outcome text not null, prompt_tokens integer not null,
    cached_tokens integer not null, completion_tokens integer not null, seconds real not null);
create index if not exists attempts_by_job on attempts (job);
create table if not exists engines (
    engine text primary key, job text not null, kind text not null, gpus integer not null,
    seconds real not null, prompt_tokens integer, cached_tokens integer,
    completion_tokens integer);
"""


def store_path() -> Path:
    """``$WINNOW_LABELS``, or labels.sqlite in the user's cache folder."""
    if given := os.environ.get("WINNOW_LABELS"):
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "winnow", "labels.sqlite")


@dataclass(frozen=True)
class Stored:
    """A label in the store. ``document`` is the sha256 of the text that was judged."""

    key: bytes
    judge: str
    request: str
    document: bytes
    repeat: int
    answer: Answer
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Attempt:
    """A request and what became of it. ``outcome`` is "labelled" or a code; "lost" when the process
    that asked died before the answer was written down. ``seconds`` is the time until the answer."""

    job: str
    engine: str
    key: bytes | None
    purpose: str  # of the pass (document, gold, retest …), or probe
    outcome: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Costs:
    """The ledger of a job in sums. ``answers`` are labels that came back, ``failed`` requests
    brought none, and nothing is known of ``lost`` ones; ``gpu_seconds`` are of servers that
    were started here."""

    job: str
    model: str
    answers: int
    lost: int
    failed: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    gpu_seconds: float


class LabelStore:
    """Open for as long as it is used; safe to share between processes, not between threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._prepare()
        except (sqlite3.Error, OSError) as error:
            hint = "set WINNOW_LABELS to a file that can be written"
            message = f"{path} cannot be used as a label store: {error}"
            raise Refusal("label-store", message, hint) from error

    def _prepare(self) -> None:
        """Make what is missing. Raises Refusal when the file is something else."""
        with self._writing():  # the version and the tables of one moment
            found = self._db.execute("pragma user_version").fetchone()[0]
            tables = self._db.execute("select count(*) from sqlite_master").fetchone()[0]
            if found not in (0, VERSION) or (found == 0 and tables):
                hint = "update winnow, or set WINNOW_LABELS to another file"
                message = f"{self.path} is a label store of version {found}, not {VERSION}"
                if found == 0:
                    message = f"{self.path} is a database of something else"
                raise Refusal("label-store", message, hint)
            for statement in _TABLES.split(";\n"):
                self._db.execute(statement)
            if found != VERSION:
                self._db.execute(f"pragma user_version={VERSION}")
        _with_retries(lambda: self._db.execute("pragma journal_mode=wal"))
        # A killed process loses nothing; a power cut may cost the last labels, not the file.
        self._db.execute("pragma synchronous=normal")

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._db.execute("begin immediate")
            yield
            self._db.execute("commit")
        except BaseException as error:
            if self._db.in_transaction:  # SQLite may have ended it already
                self._db.execute("rollback")
            if isinstance(error, sqlite3.Error):
                message = f"{self.path} cannot be written: {error}"
                hint = "make room, or set WINNOW_LABELS to a file that can be written"
                raise Refusal("label-store", message, hint) from error
            raise

    # --- labels ---

    def find(self, keys: Iterable[bytes]) -> dict[bytes, Stored]:
        """Those of ``keys`` that have a label."""
        found: dict[bytes, Stored] = {}
        for part in _chunks(list(keys)):
            marks = ",".join("?" * len(part))
            rows = self._db.execute(f"select * from labels where key in ({marks})", part)
            for key, judge, request, document, repeat, answer, prompt, completion in rows:
                answer_read = read_answer(answer)
                found[key] = Stored(
                    key, judge, request, document, repeat, answer_read, prompt, completion
                )
        return found

    def claim(self, keys: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
        """(mine, others'): the keys that this process may ask about from now on, and those that
        another living process is asking about. A key that has a label by now is in neither."""
        this = me()
        mine, others = [], []
        with self._writing():
            known = self.find(keys)
            held: dict[bytes, tuple[str, int, int, float]] = {}
            for part in _chunks(keys):
                marks = ",".join("?" * len(part))
                query = f"select key, host, pid, born, seen from claimed where key in ({marks})"
                held |= {key: tuple(holder) for key, *holder in self._db.execute(query, part)}
            for key in keys:
                if key in known:
                    continue
                holder = held.get(key)
                if holder is not None and holder[:3] != this and is_alive(*holder):
                    others.append(key)
                else:
                    mine.append(key)
            self._db.executemany(
                "insert or replace into claimed values (?,?,?,?,?,?)",
                [[key, *this, time.time(), 0] for key in mine],
            )
        return mine, others

    def sent(self, keys: Sequence[bytes]) -> None:
        """Note that a server may hear of claimed keys from now on."""
        with self._writing():
            rows = [[key] for key in keys]
            self._db.executemany("update claimed set sent=1 where key=?", rows)

    def renew(self) -> None:
        """Show processes on other hosts that this one lives; due well within a lease."""
        with self._writing():
            query = "update claimed set seen=? where host=? and pid=? and born=?"
            self._db.execute(query, [time.time(), *me()])

    def release(self, keys: Sequence[bytes]) -> None:
        """Give claims back without a label."""
        with self._writing():
            self._db.executemany("delete from claimed where key=?", [[key] for key in keys])

    def write(self, labels: Sequence[Stored], attempts: Sequence[Attempt]) -> None:
        """Labels with the attempts that brought them, all or none; their claims end.

        The first one stays: a key is never overwritten.
        """
        with self._writing():
            self._db.executemany(
                "insert or ignore into labels values (?,?,?,?,?,?,?,?)", map(_row, labels)
            )
            self._db.executemany("delete from claimed where key=?", [[lb.key] for lb in labels])
            self._add_attempts(attempts)

    def _add_attempts(self, attempts: Sequence[Attempt]) -> None:
        self._db.executemany(
            "insert into attempts (job, engine, key, purpose, outcome, prompt_tokens, "
            "cached_tokens, completion_tokens, seconds) values (?,?,?,?,?,?,?,?,?)",
            [tuple(vars(attempt).values()) for attempt in attempts],
        )

    def withdraw(self, keys: Sequence[bytes]) -> None:
        """Remove labels that turned out to be another model's; the attempts stay."""
        with self._writing():
            self._db.executemany("delete from labels where key=?", [[key] for key in keys])

    def abandoned(self, job: str, engine: str, keys: Sequence[bytes]) -> int:
        """End the claims of dead processes on ``keys``, and enter what they had sent into the
        ledger as lost; how many.

        Their outcome is unknown: the server may have answered.
        """
        with self._writing():
            dead: dict[bytes, int] = {}
            for part in _chunks(keys):
                marks = ",".join("?" * len(part))
                rows = self._db.execute(f"select * from claimed where key in ({marks})", part)
                dead.update({key: sent for key, *by, sent in rows if not is_alive(*by)})
            lost = [key for key, sent in dead.items() if sent]
            self._db.executemany("delete from claimed where key=?", [[key] for key in dead])
            self._add_attempts([Attempt(job, engine, key, "document", "lost") for key in lost])
        return len(lost)

    # --- judges, requests, costs ---

    def add_judge(self, judge: str, model: str, revision: str, tokenizer: str) -> None:
        with self._writing():
            self._db.execute(
                "insert or ignore into judges values (?,?,?,?,null)",
                [judge, model, revision, tokenizer],
            )

    def add_request(self, request: str, settings: Mapping[str, object]) -> None:
        with self._writing():
            text = orjson.dumps(settings).decode()  # the order of categories counts
            self._db.execute("insert or ignore into requests values (?,?)", [request, text])

    def judges(self, model: str, revision: str = "") -> list[tuple[str, str, str]]:
        """(judge, revision, tokenizer) of judges whose model is called ``model`` and whose revision
        begins with ``revision``; without one, of those that have none."""
        rows = self._db.execute(
            "select judge, revision, tokenizer from judges where model=? "
            "and substr(revision, 1, ?)=? and (revision='')=(?='') order by judge",
            [model, len(revision), revision, revision],
        )
        return list(rows)

    def probe(self, judge: str, asked: str) -> list[float] | None:
        """What the judge answered to the probe ``asked`` when it was met first."""
        row = self._db.execute("select probe from judges where judge=?", [judge]).fetchone()
        known = orjson.loads(row[0]) if row and row[0] else None
        return known["answers"] if isinstance(known, dict) and known["asked"] == asked else None

    def set_probe(self, judge: str, asked: str, answers: Sequence[float]) -> None:
        """The first answers stay, until other probes are asked."""
        with self._writing():
            if self.probe(judge, asked) is None:
                text = orjson.dumps({"asked": asked, "answers": list(answers)}).decode()
                self._db.execute("update judges set probe=? where judge=?", [text, judge])

    def engine_ended(
        self, job: str, engine: str, kind: str, gpus: int, seconds: float,
        counters: tuple[int, int, int] | None,
    ) -> None:  # fmt: skip
        """Note how long a server has run for ``job``, and its own counters of prompt tokens,
        cached ones among them, and generated tokens."""
        with self._writing():
            self._db.execute(
                "insert or replace into engines values (?,?,?,?,?,?,?,?)",
                [engine, job, kind, gpus, seconds, *(counters or (None, None, None))],
            )

    def attempts(self, job: str) -> list[Attempt]:
        """The ledger of a job, in the order it was written."""
        rows = self._db.execute(
            "select job, engine, key, purpose, outcome, prompt_tokens, cached_tokens, "
            "completion_tokens, seconds from attempts where job=? order by id",
            [job],
        )
        return [Attempt(*row) for row in rows]

    def gpu_seconds(self, job: str) -> float:
        """Seconds of server time × GPUs that a job has used so far (GPUs count 1 at least)."""
        query = "select coalesce(sum(seconds * max(gpus, 1)), 0) from engines where job=?"
        return float(self._db.execute(query, [job]).fetchone()[0])

    def costs(self) -> list[Costs]:
        """What every job has cost, the latest last."""
        rows = self._db.execute("""
            select a.job, max(a.id), sum(a.outcome = 'labelled' and a.purpose != 'probe'),
                sum(a.outcome = 'lost'), sum(a.outcome not in ('labelled', 'lost')),
                sum(a.prompt_tokens), sum(a.cached_tokens), sum(a.completion_tokens),
                (select j.model from labels l join judges j using (judge)
                 where l.key in (select key from attempts where job = a.job) limit 1)
            from attempts a group by a.job order by 2""")
        return [
            Costs(job, model or "?", answers, lost, failed, prompt, cached, completion,
                  self.gpu_seconds(job))
            for job, _, answers, lost, failed, prompt, cached, completion, model in rows
        ]  # fmt: skip

    def labels(self) -> Iterator[Stored]:
        """Every label, in key order."""
        for row in self._db.execute("select * from labels order by key"):
            key, judge, request, document, repeat, answer, prompt, completion = row
            answer_read = read_answer(answer)
            yield Stored(key, judge, request, document, repeat, answer_read, prompt, completion)

    def add_all(
        self,
        judges: Sequence[tuple[object, ...]],
        requests: Sequence[tuple[object, ...]],
        labels: Sequence[Stored],
    ) -> None:
        """Rows of another store, all or none; what is here already stays as it is."""
        with self._writing():
            self._db.executemany("insert or ignore into judges values (?,?,?,?,?)", judges)
            self._db.executemany("insert or ignore into requests values (?,?)", requests)
            self._db.executemany(
                "insert or ignore into labels values (?,?,?,?,?,?,?,?)", map(_row, labels)
            )

    def rows(self, table: str) -> Iterator[tuple[object, ...]]:
        """Every row of ``judges``, ``requests`` or ``engines``, in key order."""
        assert table in ("judges", "requests", "engines")
        yield from self._db.execute(f"select * from {table} order by 1")


def write_answer(answer: Answer) -> str:
    """As JSON: ``{"labels": {attribute: {"p": […], "mass": m}}, "errors": {…}, …}``."""
    labels = {n: {"p": lb.probabilities, "mass": lb.mass} for n, lb in answer.labels.items()}
    whole = {"labels": labels, "errors": dict(answer.errors), "rationale": answer.rationale}
    return orjson.dumps(whole).decode()


def read_answer(text: str) -> Answer:
    """What ``write_answer`` wrote. Raises ValueError (or KeyError, TypeError) for anything else."""
    whole = orjson.loads(text)
    labels = {
        name: Label(tuple(map(float, found["p"])), float(found["mass"]))
        for name, found in whole["labels"].items()
    }
    return Answer(labels, whole["errors"], whole["rationale"])


def _row(label: Stored) -> tuple[object, ...]:
    values = vars(label)
    return tuple(write_answer(v) if n == "answer" else v for n, v in values.items())


def _with_retries(change: Callable[[], object]) -> None:
    """For the one change that SQLite does not wait with while others use the file."""
    for turn in range(50):
        try:
            change()
            return
        except sqlite3.OperationalError:
            if turn == 49:
                raise
            time.sleep(0.05)


def _chunks(keys: Sequence[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(keys), CHUNK):
        yield list(keys[start : start + CHUNK])
