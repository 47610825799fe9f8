"""Makes our model types known to `AutoConfig` and `AutoModel` without importing transformers.

`AutoConfig.register` needs the classes, hence torch and several seconds. So the tables that it
fills get entries that import a class when it is asked for; and as the tables do not exist before
transformers is imported, an import hook fills them as soon as their modules have run. The tables'
attribute `_extra_content` is private: `tests/test_hub_auto.py` watches it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

MODEL_TYPES = {
    "tps_portrait_aligner": ("TPSAlignerConfig", "TPSAligner"),
    "tps_portrait_discriminator": ("PortraitDiscriminatorConfig", "PortraitDiscriminator"),
    "tps_portrait_generator": ("StyleGeneratorConfig", "StyleGenerator"),
    "tps_portrait_landmarker": ("FaceLandmarkerConfig", "FaceLandmarker"),
}
"""Names of the configuration and the model class of each of our model types."""

_PACKAGE = __package__ or "tps_portrait"
_MODELS = dict(MODEL_TYPES.values())


def _ours(name: str) -> Any:
    return getattr(import_module(_PACKAGE), name)


class LazyConfigs(dict[str, Any]):
    """Model types and configuration classes; ours are imported when asked for."""

    def __getitem__(self, key: str) -> Any:
        """Return the configuration class of a model type."""
        value = super().__getitem__(key)
        if value is None:
            value = self[key] = _ours(MODEL_TYPES[key][0])
        return value

    def values(self) -> Any:
        """Import our classes and return all."""
        return {key: self[key] for key in self}.values()

    def items(self) -> Any:
        """Import our classes and return all with their types."""
        return {key: self[key] for key in self}.items()


class LazyModels(dict[type, Any]):
    """Configuration classes and model classes; ours are found by the configuration's name."""

    def __contains__(self, key: object) -> bool:
        """Tell whether there is a model for a configuration class."""
        return super().__contains__(key) or _is_config(key)

    def __missing__(self, key: type) -> Any:
        """Import the model of one of our configuration classes."""
        if not _is_config(key):
            raise KeyError(key)
        self[key] = _ours(_MODELS[key.__name__])
        return self[key]


def _is_config(key: object) -> bool:
    module = getattr(key, "__module__", "").partition(".")[0]
    return module == _PACKAGE and getattr(key, "__name__", None) in _MODELS


def _add_configs(module: ModuleType) -> None:
    table = module.CONFIG_MAPPING
    if isinstance(known := getattr(table, "_extra_content", None), dict):
        table._extra_content = LazyConfigs({**known, **dict.fromkeys(MODEL_TYPES)})


def _add_models(module: ModuleType) -> None:
    table = module.MODEL_MAPPING
    if isinstance(known := getattr(table, "_extra_content", None), dict):
        table._extra_content = LazyModels(known)


_FILLERS = {
    "transformers.models.auto.configuration_auto": _add_configs,
    "transformers.models.auto.modeling_auto": _add_models,
}


class _FillingLoader(Loader):
    """Runs a module with its own loader, then fills its table."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        _FILLERS[module.__name__](module)


class _Hook(MetaPathFinder):
    """Waits for the two modules of transformers, and lets all others pass."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _FILLERS:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _FillingLoader(spec.loader)
        return spec


def register() -> None:
    """Fill the tables that exist, and wait for the others; harmless to repeat."""
    if any(isinstance(finder, _Hook) for finder in sys.meta_path):
        return
    for name, fill in _FILLERS.items():
        if name in sys.modules:
            fill(sys.modules[name])
    sys.meta_path.insert(0, _Hook())
