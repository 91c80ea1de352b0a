"""The report's section on the run itself: its manifest, where it ran, and what is new in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from pipeline.engine.results import RunResults
from pipeline.manifest import Manifest
from pipeline.manifest.wording import counted
from pipeline.report.blocks import Block, Code, Prose, ReportSection, Table
from pipeline.report.format import size

Row = Sequence[str | int | float | None]


def run_section(manifest: Manifest, results: RunResults) -> ReportSection:
    """What somebody needs who wants to repeat the run or to compare it with the one before."""
    blocks: list[Block] = [
        Table("Where and with what it ran", ["What", "Value"], list(_where(manifest, results))),
        *_since_last(results),
        Table(
            "Stages of this run",
            ["stage", "status", "done", "tasks", "seconds", "fingerprint", "why"],
            [
                [
                    *(s.name, s.status, s.tasks_done, s.tasks),
                    *(f"{s.seconds:,.1f}", s.fingerprint[:8], s.why),
                ]
                for s in results.stages
            ],
            note="A reused stage took no time.",
            tones=["failed" if s.status == "failed" else "" for s in results.stages],
        ),
        Code(
            "The manifest as it was run",
            manifest_text(results.manifest),
            "Overrides are included; references to environment variables are not resolved.",
        ),
        Table(
            "Versions of packages", ["Package", "Version"], [*results.environment.packages.items()]
        ),
    ]
    return ReportSection("run", "This run", blocks)


def _where(manifest: Manifest, results: RunResults) -> Iterator[Row]:
    machine = results.environment
    yield "manifest", results.manifest_path
    yield "output", str(manifest.output.resolve())
    yield "corpus", str(Path(results.corpus).resolve()) if results.corpus else "not complete"
    yield "store", str(Path(results.store).resolve())
    yield "started", results.started
    yield "wall time", f"{results.seconds:,.1f} s"
    yield "winnow", f"{results.winnow}, {machine.commit or 'no commit known'}"
    yield "commit of the manifest’s folder", machine.manifest_commit or "none known"
    yield "Python", machine.python
    yield "system", machine.system
    yield "processor", f"{machine.processor}, {counted(machine.cores, 'core')} for this run"
    yield "memory", size(machine.memory)


def _since_last(results: RunResults) -> Iterator[Block]:
    last = results.last_run
    if last is None:
        return
    now = results.documents
    rows: list[Row] = [
        ["status", last.status, results.status],
        ["rows in", last.rows, now.rows],
        ["documents kept", last.kept, now.kept.documents],
    ]
    headlines = results.headlines()
    for name in dict.fromkeys((*last.headlines, *headlines)):
        before, after = last.headlines.get(name, ""), headlines.get(name, "")
        rows.append([name, before.replace("`", "") or None, after.replace("`", "") or None])
    title = f"Since the run of {last.started}"
    yield Table(title, ["What", "That run", "This run"], rows)
    if last.changes:
        yield Table("What differs in it", ["Change"], [[change] for change in last.changes])
    else:
        yield Prose(
            "Neither the manifest nor the machine nor a version differs from that run. The "
            "table of stages names what else does, such as a file of a source."
        )


def manifest_text(values: Mapping[str, Any]) -> str:
    """Plain values as YAML, in the manifest's order."""
    yaml = YAML()
    yaml.width = 100
    yaml.default_flow_style = False
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = StringIO()
    yaml.dump(_compact(dict(values)), text)
    return text.getvalue()


def _compact(value: Any) -> Any:
    """A copy in which lists of plain values, and lists of these, take one line."""
    if isinstance(value, dict):
        return {key: _compact(item) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    items = CommentedSeq(_compact(item) for item in value)
    if all(not isinstance(item, dict) and _is_flat(item) for item in items):
        items.fa.set_flow_style()
    return items


def _is_flat(value: Any) -> bool:
    return not isinstance(value, CommentedSeq) or bool(value.fa.flow_style())
