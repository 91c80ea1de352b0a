"""``winnow label``: what it runs, what it moves, and what it shows of the ledger."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import typer
from label_project import LabelProject
from rich.console import Console

from classifiers import label_command as module
from classifiers.judges.answers import Answer, Label
from classifiers.judges.judge_identity import label_key
from classifiers.label_command import label
from classifiers.labelling.label_exchange import export_labels
from classifiers.labelling.label_store import Attempt, LabelStore, Stored
from pipeline.errors import Refusal
from pipeline.manifest import Manifest


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "labels.sqlite"
    monkeypatch.setenv("WINNOW_LABELS", str(path))
    return path


def fill(path: Path, model: str = "Qwen3-8B") -> LabelStore:
    """A store with a label and what it cost."""
    store = LabelStore(path)
    store.add_judge("judge", model, "abc", "tok")
    document = b"d" * 32
    key = label_key("judge", "request", document)
    answer = Answer({"q": Label((0.5, 0.5), 1.0)}, {})
    attempt = Attempt("jobjobjobjob", "", key, "document", "labelled", 12_345, 6_789, 2, 0.5)
    lost = Attempt("jobjobjobjob", "", key, "document", "lost")
    store.write([Stored(key, "judge", "request", document, 0, answer, 9, 1)], [attempt, lost])
    store.engine_ended("jobjobjobjob", "e", "vllm", 2, 3.5, None)
    return store


class Run:
    """Stands in for ``run_loaded``."""

    def __init__(self, code: int = 0) -> None:
        self.code, self.steps = code, list[list[str]]()

    def __call__(self, loaded: Manifest) -> None:
        self.steps.append([named.label for named in loaded.steps])
        raise typer.Exit(self.code)


def test_it_runs_up_to_the_last_label_step(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = LabelProject(tmp_path)
    other = (project.folder / "rubric.yaml").read_text().replace("clarity:", "ease:")
    (project.folder / "other.yaml").write_text(other.replace("kind:", "sort:"))
    second = {"rubric": "other.yaml", "server": project.step["server"]}
    project.before = ["exact_dedup"]
    project.after = [{"label": second}, {"keep": {"column": "clarity", "top": "50%"}}]
    project.write()
    run = Run()
    monkeypatch.setattr(module, "run_loaded", run)
    with pytest.raises(typer.Exit):
        label(project.manifest)
    assert run.steps == [["exact_dedup", "label", "label_2"]]


def test_a_manifest_without_a_label_step_is_refused(tmp_path: Path, store: Path) -> None:
    path = tmp_path / "m.yaml"
    (tmp_path / "a.jsonl").touch()
    path.write_text("sources: {a: {format: jsonl, paths: a.jsonl}}\nsteps: [exact_dedup]\n")
    with pytest.raises(Refusal, match="has no step label"):
        label(path)


def test_nothing_to_do_is_an_error() -> None:
    with pytest.raises(Refusal, match="neither a manifest nor an option"):
        label()


def test_labels_are_moved_and_counted(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export_labels(fill(tmp_path / "other"), tmp_path / "in.zst")
    label(bring=tmp_path / "in.zst", export=tmp_path / "a" / "out.zst")
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'in.zst'}: 1 new labels, 0 known",
        f"{tmp_path / 'a' / 'out.zst'}: 1 labels",
    ]
    assert (tmp_path / "in.zst").read_bytes() == (tmp_path / "a" / "out.zst").read_bytes()


def test_a_failed_run_is_exported_all_the_same(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was paid for before it failed is there to be taken along."""
    project = LabelProject(tmp_path)
    fill(store)
    monkeypatch.setattr(module, "run_loaded", Run(1))
    with pytest.raises(typer.Exit) as caught:
        label(project.manifest, export=tmp_path / "x.zst")
    assert caught.value.exit_code == 1
    assert (tmp_path / "x.zst").exists()


def test_a_wrong_import_ends_before_anything_runs(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run()
    monkeypatch.setattr(module, "run_loaded", run)
    (tmp_path / "x.zst").write_bytes(b"no")
    with pytest.raises(Refusal):
        label(LabelProject(tmp_path).manifest, bring=tmp_path / "x.zst")
    assert run.steps == []


def shown(monkeypatch: pytest.MonkeyPatch, width: int) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, markup=False)
    monkeypatch.setattr(module, "print_table", console.print)
    label(costs=True)
    return out.getvalue()


def test_costs_are_what_the_ledger_holds(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store)
    head, row = shown(monkeypatch, 200).splitlines()
    assert head.split()[:5] == ["job", "model", "answers", "failed", "lost"]
    assert row.split() == [
        "jobjobjo", "Qwen3-8B", "1", "0", "1", "12,345", "6,789", "2", "7.0", "7,000,000"
    ]  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_narrow_terminal_loses_no_digit(
    store: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    fill(store)
    text = shown(monkeypatch, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert sum(letter.isdigit() for letter in text) == sum(
        letter.isdigit() for letter in shown(monkeypatch, 200)
    )


def test_a_store_without_costs_shows_the_heads(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(shown(monkeypatch, 200).splitlines()) == 1


def test_a_model_s_name_gives_no_orders_to_a_terminal(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, "evil\x1b[2J\x07[bold]")
    assert "evil?[2J?[bold]" in shown(monkeypatch, 200)
