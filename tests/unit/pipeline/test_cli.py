from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import EntryPoint, version
from pathlib import Path

import jsonschema
import pytest
import typer
from small_runs import small_project, winnow, write_lines

from pipeline import cli
from pipeline.errors import Refusal


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = small_project(tmp_path_factory.mktemp("cli"))
    done = winnow("run", path, cwd=path.parent)
    assert done.returncode == 0, done.stderr
    return path


def test_run_says_where_rows_went_and_where_to_look(project: Path) -> None:
    done = winnow("run", project, cwd=project.parent)
    assert done.returncode == 0
    assert "6 of 6 stages reused" in done.stdout
    assert "9 rows in = 4 kept + 5 dropped + 0 quarantined" in done.stdout
    assert "report:  out/report.html" in done.stdout


def test_validate_names_sources_and_steps(project: Path) -> None:
    done = winnow("validate", project)
    assert done.returncode == 0
    assert "2 sources; Short, exact_dedup" in done.stdout


def test_plan_shows_why(project: Path) -> None:
    done = winnow("plan", project, "--set", "steps.Short.least=6", cwd=project.parent)
    assert done.returncode == 0
    assert "steps.Short.least: 5 → 6" in done.stdout
    assert "follows from Short" in done.stdout


def test_status_and_verify_need_only_the_folder(project: Path) -> None:
    status = winnow("status", project.parent / "out")
    assert "complete" in status.stdout
    assert winnow("verify", project.parent / "out").returncode == 0


def test_report_is_written_again(project: Path) -> None:
    report = project.parent / "out" / "report.html"
    before = report.read_bytes()
    report.unlink()
    assert winnow("report", project, cwd=project.parent).returncode == 0
    assert report.read_bytes() == before


def test_output_can_be_elsewhere(project: Path, tmp_path: Path) -> None:
    assert winnow("run", project, "--output", tmp_path / "x").returncode == 0
    assert (tmp_path / "x" / "report.html").exists()


def test_schema_accepts_this_manifest(project: Path) -> None:
    schema = json.loads(winnow("schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert "run_results" not in json.dumps(schema)
    assert json.loads(winnow("schema", "--results").stdout)["title"] == "winnow run results"


def test_wrong_manifest_stops_before_any_work_with_2(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    path.write_text(path.read_text().replace("least: 5", "leest: 5").replace("seed: 7", "seed: no"))
    done = winnow("run", path, cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean" in done.stderr
    assert f"{path}:3:7" in done.stderr, "every error at once"
    assert not (tmp_path / "out").exists()


def test_missing_manifest_is_2(tmp_path: Path) -> None:
    done = winnow("run", tmp_path / "none.yaml")
    assert done.returncode == 2
    assert "none.yaml" in done.stderr


def test_unknown_option_is_2() -> None:
    assert winnow("run", "--nope").returncode == 2


def test_missing_input_is_2(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    for file in tmp_path.glob("a*.jsonl"):
        file.unlink()
    done = winnow("run", path, cwd=tmp_path)
    assert done.returncode == 2
    assert "a*.jsonl" in done.stderr


def test_failed_shard_is_1_and_named(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    (tmp_path / "a2.jsonl").write_text("{\n" * 5)
    done = winnow("run", path, cwd=tmp_path)
    assert done.returncode == 1
    assert "a2.jsonl: too-many-bad-rows" in done.stderr
    assert "hint: " in done.stderr


def test_ids_never_form_paths(tmp_path: Path) -> None:
    """Fault 27."""
    path = small_project(tmp_path)
    rows = [json.dumps({"id": i, "text": f"text of {i}"}) for i in ("../../x", "/etc/x", "a\x00b")]
    (tmp_path / "a1.jsonl").write_text("\n".join(rows) + "\n")
    assert winnow("run", path, cwd=tmp_path).returncode == 0
    outside = {p.name for p in tmp_path.iterdir()} - {"__pycache__"}
    assert outside == {".store", "a1.jsonl", "a2.jsonl", "b1.jsonl", "m.yaml", "out", "short.py"}
    assert not (tmp_path.parent / "x").exists()
    assert not Path("/etc/x").exists()


def test_stopped_run_is_130_and_goes_on_later(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    for number in range(40):
        write_lines(tmp_path / f"a{number}.jsonl", [f"text {number} {n}" for n in range(2000)])
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "run", str(path)],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "stage-started" in process.stderr.readline()
    os.kill(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    assert "run again" in rest
    assert not (tmp_path / "out" / "lock.json").exists()
    assert winnow("run", path, cwd=tmp_path).returncode == 0


def test_a_run_until_a_step_is_the_beginning_of_the_whole_one(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    part = winnow("run", path, "--until", "short.py:Short", cwd=tmp_path)
    assert part.returncode == 0, part.stderr
    assert "0 of 2 stages reused" in part.stdout
    assert "9 rows in = 6 kept + 3 dropped" in part.stdout
    whole = winnow("run", path, cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert "2 of 6 stages reused" in whole.stdout


def test_an_unknown_step_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    done = winnow("run", small_project(tmp_path), "--until", "exact", cwd=tmp_path)
    assert done.returncode == 2
    assert "unknown-step" in done.stderr
    assert "its steps: short.py:Short, exact_dedup" in done.stderr
    assert not (tmp_path / "out").exists()


def test_commands_of_steps_are_commands(tmp_path: Path) -> None:
    done = winnow("--help")
    assert "Buy labels, and move them between machines" in done.stdout
    assert winnow("label", environment={"WINNOW_LABELS": str(tmp_path / "x")}).returncode == 2


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.app(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"winnow {version('winnow')}\n"


def test_a_command_that_cannot_be_imported_fails_when_it_is_run_and_not_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = EntryPoint("audit", "no_such_package.audit:audit", cli.GROUP)
    monkeypatch.setattr(cli, "entry_points", lambda group: [broken])
    with pytest.raises(SystemExit) as ended:
        cli.app(["--help"])
    assert ended.value.code == 0
    assert "audit     the command audit cannot be imported" in capsys.readouterr().out
    group = typer.main.get_command(cli.app)
    with pytest.raises(Refusal, match="No module named 'no_such_package'") as caught:
        group.main(["audit"], standalone_mode=False)
    assert caught.value.hint == "repair or reinstall no_such_package.audit"
