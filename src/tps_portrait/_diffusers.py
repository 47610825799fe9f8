"""Registers our component classes with the loader of diffusers, the only place that does so.

diffusers resolves a component by the library named in `model_index.json`. For a library that it
does not know it stores the full module path, which breaks styles when a module moves, and refuses
to download from the Hub at all (diffusers PR 5728). The tables are semi-private:
`tests/test_upstream_contracts.py` watches them.
"""

from __future__ import annotations

from diffusers.pipelines.pipeline_loading_utils import ALL_IMPORTABLE_CLASSES, LOADABLE_CLASSES

_METHODS = {
    "PortraitPreTrainedModel": ["save_pretrained", "from_pretrained"],
    "PortraitImageProcessor": ["save_pretrained", "from_pretrained"],
}


def register() -> None:
    """Make our networks and image processor known to diffusers; harmless to repeat."""
    LOADABLE_CLASSES["tps_portrait"] = _METHODS
    ALL_IMPORTABLE_CLASSES.update(_METHODS)
