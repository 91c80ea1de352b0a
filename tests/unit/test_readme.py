"""The README shows what is really there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
import typer.core
from typer.testing import CliRunner

from pipeline.cli import app


def part(text: str, name: str) -> str:
    """What stands between ``<!-- name -->`` and ``<!-- /name -->``."""
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert found
    return found[1]


def test_manifest_shown_is_the_quickstart(root: Path) -> None:
    shown = part((root / "README.md").read_text(), "manifest")
    assert shown == f"```yaml\n{(root / 'manifests' / 'quickstart.yaml').read_text()}```\n"


def test_links_lead_somewhere(root: Path) -> None:
    for page in [root / "README.md", *(root / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.fixture(scope="module")
def commands() -> dict[str, typer.core.TyperCommand]:
    group = typer.main.get_command(app)
    context = group.make_context("winnow", [], resilient_parsing=True)
    return {name: group.get_command(context, name) for name in group.list_commands(context)}


def test_every_command_is_listed(root: Path, commands: dict[str, typer.core.TyperCommand]) -> None:
    text = (root / "README.md").read_text()
    assert set(commands) == set(re.findall(r"^winnow (\w+) ", text, re.MULTILINE))


def test_every_command_has_help(commands: dict[str, typer.core.TyperCommand]) -> None:
    for name, command in commands.items():
        shown = CliRunner().invoke(app, [name, "--help"])
        assert shown.exit_code == 0
        assert (command.help or "missing").split(";")[0].split(".")[0] in shown.output


def test_demo_output_has_the_form_of_a_run(root: Path) -> None:
    shown = part((root / "README.md").read_text(), "demo")
    counts = re.search(r"([\d,]+) rows in = ([\d,]+) kept \+ ([\d,]+) dropped \+ ([\d,]+) q", shown)
    assert counts
    rows, kept, dropped, quarantined = (int(n.replace(",", "")) for n in counts.groups())
    assert rows == kept + dropped + quarantined
