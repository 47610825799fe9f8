"""What all our networks share: strict configurations and strict loading on top of transformers.

transformers accepts unknown configuration keys and loads incomplete weights with no more than a log
line. A style with a misspelt key or a truncated file would then draw noise. Here both are errors.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import (
    StrictDataclassClassValidationError,
    StrictDataclassFieldValidationError,
)
from transformers import PreTrainedConfig, PreTrainedModel

from .._bundled import STYLES
from ..errors import ConfigError, ModelFileError

# Keys that transformers itself writes into or passes to every configuration.
_KNOWN_EXTRAS = frozenset(
    {
        "_attn_implementation",
        "_commit_hash",
        "_name_or_path",
        "architectures",
        "attn_implementation",
        "dtype",
        "model_type",
        "name_or_path",
        "torch_dtype",
        "transformers_version",
    }
)

_Model = TypeVar("_Model", bound="PortraitPreTrainedModel")


@strict
class PortraitConfig(PreTrainedConfig):
    """Base of our configurations: typed fields, validated values, unknown keys refused.

    Raises:
        ConfigError: a key is not a field of the configuration.
    """

    model_type = "tps_portrait"

    def __post_init__(self, **kwargs: Any) -> None:
        """Refuse keys that are not fields, then let transformers finish.

        Raises:
            ConfigError: a keyword is neither a field nor one of transformers' own keys.
        """
        base_fields = set(PreTrainedConfig.__dataclass_fields__)
        unknown = sorted(set(kwargs) - _KNOWN_EXTRAS - base_fields)
        if unknown:
            own = sorted(set(type(self).__dataclass_fields__) - base_fields)
            raise ConfigError(
                f"{type(self).__name__} has no field {', '.join(map(repr, unknown))}. "
                f"Its fields are: {', '.join(own)}."
            )
        super().__post_init__(**kwargs)


class PortraitPreTrainedModel(PreTrainedModel):
    """Base of our networks: `PreTrainedModel` with strict loading, safetensors only.

    Weights keep the values that the constructor gave them; transformers would redraw every
    convolution.
    """

    config_class = PortraitConfig
    base_model_prefix = ""
    main_input_name = "pixel_values"
    input_modalities = ("image",)

    def _init_weights(self, module: torch.nn.Module) -> None:
        """Keep the initialisation of the constructor."""

    @classmethod
    def from_pretrained(
        cls: type[_Model],
        pretrained_model_name_or_path: str | os.PathLike[str],
        *model_args: Any,
        **kwargs: Any,
    ) -> _Model:
        """Load a network from a folder or Hub id, refusing anything incomplete.

        Args:
            pretrained_model_name_or_path: a folder with `config.json` and `model.safetensors`, or
                a Hub id; `subfolder=` as in transformers. With `subfolder=`, also the name of a
                bundled style.
            *model_args: passed on to transformers.
            **kwargs: passed on to transformers (`subfolder`, `revision`, `variant`, `dtype`,
                `token`, `cache_dir`, `local_files_only`, …).

        Returns:
            The network in evaluation mode.

        Raises:
            ModelFileError: files are missing, hold another type of model, are pickles, or lack or
                exceed the expected tensors.
            ConfigError: `config.json` holds unknown keys or bad values.
        """
        name = os.fspath(pretrained_model_name_or_path)
        name = _in_bundled_style(name, kwargs.get("subfolder", ""))
        where = "/".join(filter(None, (name, kwargs.get("subfolder", ""))))
        _refuse_pickles(Path(name) / kwargs.get("subfolder", ""))
        wants_info = kwargs.pop("output_loading_info", False)
        kwargs["use_safetensors"] = True
        kwargs["ignore_mismatched_sizes"] = True  # reported below, with the other misfits
        try:
            if "config" not in kwargs:
                kwargs["config"] = cls._load_config(where, name, **kwargs)
            model, info = super().from_pretrained(
                name, *model_args, output_loading_info=True, **kwargs
            )
        except (ConfigError, ModelFileError):
            raise
        except (StrictDataclassClassValidationError, StrictDataclassFieldValidationError) as error:
            raise ConfigError(f"The configuration of {where} is not valid: {error}") from error
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise ModelFileError(
                f"Cannot load {cls.__name__} from {where}: {str(error).rstrip('.')}. Check the "
                "folder, `subfolder` and `variant`, or save or download the model again."
            ) from error
        except Exception as error:
            if type(error).__name__ != "SafetensorError":
                raise
            raise ModelFileError(
                f"The weights of {cls.__name__} in {where} are damaged or not safetensors: {error}."
                " Download or save them again."
            ) from error
        problems = [
            f"{label}: {', '.join(sorted(map(str, info[key]))[:5])}"
            for key, label in (
                ("missing_keys", "missing tensors"),
                ("unexpected_keys", "unexpected tensors"),
                ("mismatched_keys", "tensors of another shape"),
            )
            if info.get(key)
        ]
        if problems:
            raise ModelFileError(
                f"The weights in {where} do not fit {cls.__name__} ({'; '.join(problems)}). "
                "The file is incomplete or belongs to another configuration; save or download "
                "it again."
            )
        loaded: Any = (model, info) if wants_info else model
        return loaded

    @classmethod
    def _load_config(cls, where: str, name: str, **kwargs: Any) -> PortraitConfig:
        keys = ("subfolder", "revision", "token", "cache_dir", "local_files_only", "force_download")
        options = {key: kwargs[key] for key in keys if key in kwargs}
        values, _ = cls.config_class.get_config_dict(name, **options)
        if not values:
            raise ModelFileError(
                f"{where} has no config.json with settings in it. Check the folder or the "
                "`subfolder` argument."
            )
        model_type = values.get("model_type")
        if model_type != cls.config_class.model_type:
            raise ModelFileError(
                f"{where} holds a model of type {model_type!r}, but {cls.__name__} needs "
                f"{cls.config_class.model_type!r}. Check the folder or the `subfolder` argument."
            )
        config: PortraitConfig = cls.config_class.from_dict(values)
        return config


def _in_bundled_style(name: str, subfolder: str) -> str:
    """Return the folder to take a component of a bundled style from; other names as they are."""
    plain = name == Path(name).name and not name.startswith((".", "_"))
    known = plain and (STYLES / name / "model_index.json").is_file()
    if not known or not subfolder:
        return name
    own = STYLES / name
    return str(own if (own / subfolder).is_dir() else STYLES / "_shared")


def _refuse_pickles(folder: Path) -> None:
    if not folder.is_dir() or any(folder.glob("*.safetensors")):
        return
    pickles = sorted(
        p.name for p in folder.glob("*") if p.suffix in {".bin", ".pt", ".pth", ".ckpt"}
    )
    if pickles:
        raise ModelFileError(
            f"{folder} holds {', '.join(pickles)}, which can run code when opened, and no "
            "safetensors. Only safetensors are loaded: convert the weights with "
            "`safetensors.torch.save_file` in an environment where you trust them."
        )
