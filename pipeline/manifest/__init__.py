"""The manifest: YAML with line and column, models, overrides, errors, and the JSON schema.

``load_manifest`` is the way in; everything else serves it.
"""

from pipeline.manifest.loading import load_manifest
from pipeline.manifest.manifest import Manifest, NamedStep

__all__ = ["Manifest", "NamedStep", "load_manifest"]
