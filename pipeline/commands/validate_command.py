"""``winnow validate``."""

from __future__ import annotations

from pipeline.commands.arguments import ManifestPath, Overrides, load


def validate(manifest: ManifestPath, overrides: Overrides = None) -> None:
    """Check a manifest; show every problem with its place."""
    from pipeline.manifest.wording import counted

    loaded = load(manifest, overrides)
    steps = ", ".join(named.label for named in loaded.steps) or "no steps"
    print(f"{manifest}: valid; {counted(len(loaded.sources), 'source')}; {steps}")
