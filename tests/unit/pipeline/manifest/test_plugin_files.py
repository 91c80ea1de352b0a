"""Steps, formats and extensions from files beside the manifest; what they import is there."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest
from pipeline.manifest.plugin_files import (
    custom_extension,
    custom_format,
    custom_step,
    named_object,
)
from pipeline.manifest.registry import PluginError

PLUGINS = '''\
from winnow import Extension, FilterResult, RowStep, SourceFormat


class Poems(SourceFormat):
    """Verses."""

    path: str


class Notes(Extension):
    """Words about a run."""

    notes: str = ""


class All(RowStep):
    """Keeps everything."""

    def filter(self, docs):
        return FilterResult([True] * len(docs))
'''
MANIFEST = """\
extensions: [own.py:Notes]
sources: {poems: {format: own.py:Poems, path: verses.txt}}
steps: [own.py:All]
notes: written by hand
"""


def project(folder: Path, manifest: str = MANIFEST, code: str = PLUGINS) -> Path:
    (folder / "own.py").write_text(code)
    (folder / "m.yaml").write_text(manifest)
    return folder / "m.yaml"


def errors(path: Path) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    return [f"{p.line}:{p.column} {p.code} {p.message} ({p.hint})" for p in caught.value.problems]


def test_steps_formats_and_extensions_are_classes_in_files(tmp_path: Path) -> None:
    manifest = load_manifest(project(tmp_path))
    assert type(manifest.sources["poems"]).__name__ == "Poems"
    assert manifest.sources["poems"].model_dump()["path"] == "verses.txt"
    assert type(manifest.steps[0].step).__name__ == "All"
    assert manifest.extensions["own.py:Notes"].model_dump() == {"notes": "written by hand"}


def test_fields_of_formats_and_extensions_are_checked_at_their_place(tmp_path: Path) -> None:
    text = MANIFEST.replace("path: verses.txt", "pat: verses.txt").replace("by hand", "[by hand]")
    path = project(tmp_path, text.replace("written [", "["))
    found = errors(path)
    assert any(
        line.startswith("2:") and "unknown-field" in line and "path" in line for line in found
    )
    assert any(line.startswith("4:8 wrong-type") for line in found)


def test_names_that_no_file_has_are_errors_at_their_place(tmp_path: Path) -> None:
    (line,) = errors(project(tmp_path, MANIFEST.replace("own.py:Poems", "own.py:Poem")))
    assert line.startswith("2:27 unknown-class")
    assert "did you mean 'Poems'" in line
    (line,) = errors(project(tmp_path, MANIFEST.replace("own.py:Poems", "own.py:All")))
    assert line.startswith("2:27 wrong-class")
    found = errors(project(tmp_path, MANIFEST.replace("own.py:Notes", "none.py:Notes")))
    assert found[0].startswith("1:14 no-plugin-file")


@pytest.mark.parametrize("load", [custom_step, custom_format, custom_extension])
def test_what_is_no_class_of_the_kind_is_refused(load: object, tmp_path: Path) -> None:
    project(tmp_path, code="class Wrong:\n    pass\n")
    with pytest.raises(PluginError):
        load("own.py:Wrong", tmp_path)  # type: ignore[operator]


def test_formats_cross_into_a_fresh_process(tmp_path: Path, root: Path) -> None:
    project(tmp_path)
    source = custom_format("own.py:Poems", tmp_path)(path="a.txt")  # type: ignore[call-arg]
    code = f"import pickle; print(pickle.loads({pickle.dumps(source)!r}).model_dump_json())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert json.loads(done.stdout)["path"] == "a.txt"


LAZY = """\
from winnow import RowStep


class Lazy(RowStep):
    def filter(self, docs):
        import json
        {code}
"""


@pytest.mark.parametrize(
    "code", ["import no_such_package", "from no_such_package.inner import thing"]
)
def test_a_package_that_a_step_will_import_and_is_not_there_is_named(
    code: str, tmp_path: Path
) -> None:
    project(tmp_path, code=LAZY.format(code=code))
    with pytest.raises(PluginError, match=r"own\.py:7 imports 'no_such_package'") as caught:
        custom_step("own.py:Lazy", tmp_path)
    assert caught.value.code == "missing-package"


def test_what_a_step_can_do_without_may_be_missing(tmp_path: Path) -> None:
    code = "try:\n            import no_such_package\n        except ImportError:\n            pass"
    project(tmp_path, code=LAZY.format(code=code))
    assert custom_step("own.py:Lazy", tmp_path).__name__ == "Lazy"


def test_objects_are_named_by_file_or_by_module(tmp_path: Path) -> None:
    project(tmp_path)
    assert named_object("own.py:Poems", tmp_path).__name__ == "Poems"  # type: ignore[attr-defined]
    assert named_object("json:dumps", tmp_path) is json.dumps


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("own.py:Poem", "unknown-class", "own.py has no class 'Poem'"),
        ("json:dump_s", "unknown-class", "json has no 'dump_s'"),
        ("no_such_module:x", "no-module", "'no_such_module' cannot be imported: ModuleNotFound"),
    ],
)
def test_an_object_that_is_not_there_is_an_error_with_a_hint(
    name: str, code: str, message: str, tmp_path: Path
) -> None:
    project(tmp_path)
    with pytest.raises(PluginError) as caught:
        named_object(name, tmp_path)
    assert caught.value.code == code
    assert caught.value.message.startswith(message)
    assert caught.value.hint
