"""The manifest: YAML with line and column, models, overrides, errors, and the JSON schema.

``load_manifest`` is the way in; everything else serves it.
"""

from pipeline.manifest.loading import Manifest, load_manifest
from pipeline.manifest.parts import NamedStep

__all__ = ["Manifest", "NamedStep", "load_manifest"]
