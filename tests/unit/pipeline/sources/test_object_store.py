"""Files that URLs name are read as files on disk are, and their stores' errors say what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest
from reading import Rows, freeze, indexed, json_lines, packed, problems, read_all, string_table
from s3_server import KEY, SECRET, Asked, Bucket, Fault, Proxy, bucket, options, proxy
from small_runs import winnow

from pipeline.errors import Problem, ShardError
from pipeline.sources import object_store
from pipeline.sources.file_format import FileFormat
from pipeline.sources.jsonl import JsonLines
from pipeline.sources.parquet_files import ParquetFiles
from pipeline.sources.rows import Row

__all__ = ["bucket"]

ROWS = json_lines({"text": f"row {n} " + "x" * (n % 50)} for n in range(3_000))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "WAITS_S", (0.01, 0.01))


def texts_and_places(rows: tuple[Rows, Rows]) -> list[tuple[str, int]]:
    documents, quarantined = rows
    assert not quarantined
    return [(row["text"], row["_offset"]) for row in documents]


@pytest.mark.parametrize("shard_bytes", [10**9, 20_000])
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst", ".xz"])
def test_json_lines_are_those_of_files_on_disk(
    bucket: Bucket, tmp_path: Path, suffix: str, shard_bytes: int
) -> None:
    half = ROWS.index(b"\n", len(ROWS) // 2) + 1
    data = b"".join(packed(part, suffix) for part in (ROWS[:half], ROWS[half:]))
    (tmp_path / f"a.jsonl{suffix}").write_bytes(data)
    bucket.put({f"in/a.jsonl{suffix}": data})
    fmt = JsonLines(
        paths=f"{bucket.url}/in/*{suffix}", storage_options=bucket.options, shard_bytes=shard_bytes
    )
    assert not problems(fmt, tmp_path)
    found = read_all(fmt, tmp_path)
    assert texts_and_places(found) == texts_and_places(read_all(JsonLines(paths="a*"), tmp_path))
    assert found[0][5]["id"] == f"web/{bucket.url}/in/a.jsonl{suffix}#5"


@pytest.mark.parametrize("shard_bytes", [10**9, 2_000])
def test_parquet_is_that_of_files_on_disk(bucket: Bucket, tmp_path: Path, shard_bytes: int) -> None:
    values = [b"row %d" % n for n in range(900)]
    pq.write_table(string_table(values), tmp_path / "a.parquet", row_group_size=100)
    bucket.put({"in/a.parquet": (tmp_path / "a.parquet").read_bytes()})
    fmt = ParquetFiles(
        paths=f"{bucket.url}/in/a.parquet", storage_options=bucket.options, shard_bytes=shard_bytes
    )
    assert not problems(fmt, tmp_path)
    assert texts_and_places(read_all(fmt, tmp_path)) == texts_and_places(
        read_all(ParquetFiles(paths="a.parquet"), tmp_path)
    )
    [missing] = problems(fmt.model_copy(update={"text": "body"}), tmp_path)
    assert missing.code == "no-such-field"


class Lines(FileFormat):
    """A format that knows of paths alone."""

    def rows(self, path: Path, name: str) -> Iterator[Row]:
        for number, text in enumerate(path.read_text().splitlines()):
            yield Row(number, {"text": text})


def test_a_format_that_reads_paths_reads_objects_too(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put({"a.txt": b"one\ntwo\n"})
    fmt = Lines(paths=f"{bucket.url}/*.txt", storage_options=bucket.options)
    assert texts_and_places(read_all(fmt, tmp_path)) == [("one", 0), ("two", 1)]


def test_objects_are_listed_by_name_with_their_version(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put({f"in/{name}": ROWS for name in ("b.jsonl", "a.jsonl", "deep/c.jsonl", "x.txt")})

    def names(pattern: str) -> list[str]:
        fmt = JsonLines(paths=pattern, storage_options=bucket.options, pack_bytes=0)
        shards = freeze(fmt, tmp_path)
        assert all("etag" in part.file.token for shard in shards for part in shard.parts)
        return [name.removeprefix(f"{bucket.url}/in/") for s in shards for name in s.names]

    assert names(f"{bucket.url}/in/*.jsonl") == ["a.jsonl", "b.jsonl"]
    assert names(f"{bucket.url}/in/**/*.jsonl") == ["a.jsonl", "b.jsonl", "deep/c.jsonl"]
    assert names(f"{bucket.url}/in/[b-z].jsonl") == ["b.jsonl"]
    assert names(f"{bucket.url}/in/deep/c.jsonl") == ["deep/c.jsonl"]


def test_the_web_and_memory_are_read_too(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put({"a.jsonl": ROWS})
    fsspec.filesystem("memory").pipe("/in/a.jsonl", ROWS)
    (tmp_path / "a.jsonl").write_bytes(ROWS)
    wanted = texts_and_places(read_all(JsonLines(paths="a.jsonl"), tmp_path))
    web = f"http://{bucket.host}:{bucket.port}/{bucket.name}/a.jsonl"
    for url in (web, "memory://in/*.jsonl"):
        fmt = JsonLines(paths=url, shard_bytes=30_000)
        assert not problems(fmt, tmp_path)
        assert texts_and_places(read_all(fmt, tmp_path)) == wanted


def problem(fmt: JsonLines, folder: Path) -> Problem:
    [found] = problems(fmt, folder)
    assert SECRET not in found.message + found.hint
    return found


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("s3://no-such-bucket/*.jsonl", "no-such-object"),
        ("{bucket}/gone.jsonl", "no-such-object"),
        ("{bucket}/*.jsonl", "no-files"),
        ("ftp://somewhere/a.jsonl", "unknown-protocol"),
        ("zip://a.jsonl::{bucket}/x.zip", "unknown-protocol"),
    ],
)
def test_what_is_not_there_is_a_problem_of_the_manifest(
    bucket: Bucket, tmp_path: Path, url: str, code: str
) -> None:
    url = url.format(bucket=bucket.url)
    found = problem(JsonLines(paths=url, storage_options=bucket.options), tmp_path)
    assert (found.path, found.code) == (("paths",), code)
    assert url.split("*")[0] in found.message
    assert found.hint


def test_a_store_that_is_not_there_is_a_problem_of_the_manifest(tmp_path: Path) -> None:
    fmt = JsonLines(paths="s3://bucket/*", storage_options=options("127.0.0.1", 9))
    assert problem(fmt, tmp_path).code == "store-unreachable"


def test_wrong_keys_are_a_problem_of_the_manifest(bucket: Bucket, tmp_path: Path) -> None:
    with proxy(bucket, lambda asked: Fault(403)) as store:
        fmt = JsonLines(paths=f"{bucket.url}/*", storage_options=store.options)
        found = problem(fmt, tmp_path)
    assert (found.code, "credentials" in found.hint) == ("not-permitted", True)


def failed(fmt: JsonLines, folder: Path) -> ShardError:
    [shard] = map(indexed(fmt), freeze(fmt, folder))
    with pytest.raises(ShardError) as caught:
        list(fmt.read(shard))
    assert SECRET not in str(caught.value)
    return caught.value


def test_an_object_that_is_replaced_fails_its_shard(bucket: Bucket, tmp_path: Path) -> None:
    """Fault 67."""
    bucket.put({"a.jsonl": ROWS})
    fmt = JsonLines(paths=f"{bucket.url}/*", storage_options=bucket.options)
    [shard] = freeze(fmt, tmp_path)
    bucket.put({"a.jsonl": ROWS.replace(b"row", b"ROW")})
    with pytest.raises(ShardError) as caught:
        list(fmt.read(shard))
    assert caught.value.code == "input-changed"


def test_an_object_that_is_replaced_while_it_is_read_fails_its_shard(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 67."""
    monkeypatch.setattr(object_store, "BLOCK_BYTES", 2**16)
    bucket.put({"a.jsonl": ROWS * 30})
    fmt = JsonLines(paths=f"{bucket.url}/*", storage_options=bucket.options)
    [shard] = freeze(fmt, tmp_path)
    reads = fmt.read(shard)
    next(reads)
    bucket.put({"a.jsonl": ROWS * 30 + b"\n"})
    with pytest.raises(ShardError) as caught:
        list(reads)
    assert caught.value.code == "input-changed"


def is_data(asked: Asked) -> bool:
    return asked.method == "GET" and ".jsonl" in asked.path and "list-type" not in asked.path


def with_faults(bucket: Bucket, faults: list[Fault]) -> Any:
    """A proxy that has these faults at the first requests for data."""
    left = list(faults)
    return proxy(bucket, lambda asked: left.pop(0) if left and is_data(asked) else None)


@pytest.mark.parametrize("fault", [Fault(503), Fault(keep=1_000), Fault(500)])
def test_what_fails_on_the_way_is_asked_for_again(
    bucket: Bucket, tmp_path: Path, fault: Fault
) -> None:
    """Fault 64."""
    bucket.put({"a.jsonl": ROWS})
    store: Proxy
    with with_faults(bucket, [fault, fault]) as store:
        fmt = JsonLines(paths=f"{bucket.url}/*.jsonl", storage_options=store.options)
        documents, quarantined = read_all(fmt, tmp_path)
    assert (len(documents), len(quarantined)) == (3_000, 0)


def test_a_store_that_goes_on_failing_fails_the_shard(bucket: Bucket, tmp_path: Path) -> None:
    """Fault 64."""
    bucket.put({"a.jsonl": ROWS})
    with proxy(bucket, lambda asked: Fault(503) if is_data(asked) else None) as store:
        fmt = JsonLines(paths=f"{bucket.url}/*.jsonl", storage_options=store.options)
        assert failed(fmt, tmp_path).code == "store-unreachable"
    assert sum(map(is_data, store.asked)) <= 10


def test_an_object_shorter_than_listed_fails_its_shard(bucket: Bucket, tmp_path: Path) -> None:
    """Fault 63."""
    bucket.put({"a.jsonl": ROWS})
    ends = [Fault(keep=1_000, whole=True), *[Fault(keep=0, whole=True)] * 20]
    with with_faults(bucket, ends) as store:
        fmt = JsonLines(paths=f"{bucket.url}/*.jsonl", storage_options=store.options)
        error = failed(fmt, tmp_path)
    assert error.code == "object-too-short"
    assert "ends after 1000 bytes" in error.message


MANIFEST = """
output: out
executor: {{workers: 1}}
sources:
  web:
    format: jsonl
    paths: "{url}/*.jsonl"
    shard_bytes: 50000
    storage_options:
      endpoint_url: "{endpoint}"
      key: ${{env:TEST_S3_KEY}}
      secret: ${{secret:TEST_S3_SECRET}}
steps:
  - exact_dedup
"""


def test_a_secret_reaches_the_store_and_no_artefact(bucket: Bucket, tmp_path: Path) -> None:
    """Fault 56."""
    bucket.put({"a.jsonl": ROWS})
    endpoint = bucket.options["endpoint_url"]
    path = tmp_path / "m.yaml"
    path.write_text(MANIFEST.format(url=bucket.url, endpoint=endpoint))
    environment = {**os.environ, "TEST_S3_KEY": KEY, "TEST_S3_SECRET": SECRET}
    unset = {k: v for k, v in environment.items() if k != "TEST_S3_SECRET"}
    refused = winnow("plan", path, cwd=tmp_path, environment=unset)
    assert refused.returncode == 2
    assert "TEST_S3_SECRET" in refused.stdout + refused.stderr
    done = winnow("run", path, cwd=tmp_path, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "out" / "run_results.json").read_bytes())
    assert results["stages"][0]["name"] == "index"
    assert SECRET not in done.stdout + done.stderr
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file
