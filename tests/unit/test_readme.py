"""The README shows what is really there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import add_commands, app


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


@pytest.fixture(scope="module", autouse=True)
def commands() -> None:
    add_commands()


def test_every_command_is_listed(root: Path) -> None:
    text = (root / "README.md").read_text()
    names = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert names == set(re.findall(r"^winnow (\w+) ", text, re.MULTILINE))


def test_every_command_has_help() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        shown = CliRunner().invoke(app, [command.callback.__name__, "--help"])
        assert shown.exit_code == 0
        assert (command.callback.__doc__ or "missing").split(";")[0].split(".")[0] in shown.output


def test_demo_output_has_the_form_of_a_run(root: Path) -> None:
    shown = part((root / "README.md").read_text(), "demo")
    counts = re.search(r"([\d,]+) rows in = ([\d,]+) kept \+ ([\d,]+) dropped \+ ([\d,]+) q", shown)
    assert counts
    rows, kept, dropped, quarantined = (int(n.replace(",", "")) for n in counts.groups())
    assert rows == kept + dropped + quarantined
