"""``winnow validate``."""

from __future__ import annotations

from pipeline.commands.arguments import ManifestPath, Overrides


def validate(manifest: ManifestPath, overrides: Overrides = None) -> None:
    """Check a manifest; show every problem with its place."""
    from pipeline.manifest import load_manifest

    loaded = load_manifest(manifest, overrides or ())
    steps = ", ".join(named.label for named in loaded.steps) or "no steps"
    print(f"{manifest}: valid; {len(loaded.sources)} sources; {steps}")
