"""A style in a pipeline: its components, loaded, moved and saved."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from diffusers import DiffusionPipeline
from diffusers.configuration_utils import FrozenDict
from safetensors.torch import load_file
from torch import nn

from .. import _diffusers
from ..errors import (
    ConfigError,
    ModelFileError,
    OutputError,
    TPSPortraitError,
)
from ..export import ExportedGenerator
from ..hub.calibration import copy_calibration, read_calibration
from ..hub.download import fetch_style
from ..hub.facts import FACTS
from ..hub.pins import read_card, unpin
from ..hub.styles import (
    README,
    check_style,
    locate_style,
    read_style_config,
    shared_landmarks,
    write_style_config,
)
from ..models.aligner import TPSAligner
from ..models.generator import StyleGenerator
from ..models.landmarks import FaceLandmarker
from ..processing import PortraitImageProcessor

_diffusers.register()

_VARIANTS = {"fp16": torch.float16, "bf16": torch.bfloat16}

_Pipeline = TypeVar("_Pipeline", bound="StylePipeline")


class StylePipeline(DiffusionPipeline):
    """Holds one style; `TPSPortraitPipeline` draws with it.

    Components can be moved and replaced as in any diffusers pipeline. A dtype given to `to` or
    `from_pretrained` is that of the generator; landmarks and geometry stay in float32.

    Args:
        generator: the network that draws.
        aligner: holds the style's mean face, for `geometry_strength`.
        image_processor: sizes at which the style draws; the defaults when `None`.
        landmarks: finds faces; the one bundled with the package when `None`, loaded on first use.

    Raises:
        ConfigError: a component is of another class.

    Attributes:
        style: name of the style, written into its `config.json`.
        card: text of the style's README.md, kept when it is saved again.
        base: the style whose weights its training began from, if known. Two styles with the same
            base can be mixed by weights; see `set_style`.
        recipe: shares of the styles whose weights were averaged into this one; mostly empty.
    """

    _optional_components = ["image_processor", "landmarks"]  # noqa: RUF012
    model_cpu_offload_seq = "landmarks->generator"

    generator: StyleGenerator
    aligner: TPSAligner
    image_processor: PortraitImageProcessor
    landmarks: FaceLandmarker | None

    def __init__(
        self,
        generator: StyleGenerator,
        aligner: TPSAligner,
        image_processor: PortraitImageProcessor | None = None,
        landmarks: FaceLandmarker | None = None,
    ) -> None:
        super().__init__()
        for name, value, kind in (
            ("generator", generator, StyleGenerator),
            ("aligner", aligner, TPSAligner),
            ("image_processor", image_processor, PortraitImageProcessor),
            ("landmarks", landmarks, FaceLandmarker),
        ):
            _check_component(name, value, kind, optional=name in self._optional_components)
        self.register_modules(
            generator=generator.eval(),
            aligner=aligner.eval(),
            image_processor=image_processor or PortraitImageProcessor(),
            landmarks=landmarks.eval() if landmarks is not None else None,
        )
        self.style: str | None = None
        self.card: str | None = None
        self.base: str | None = None
        self.recipe: dict[str, float] = {}
        self._source: str | None = None
        self._folder: Path | None = None
        self._photos: Path | None = None  # folder of the style whose photos calibrate
        self._shared_landmarks: FaceLandmarker | None = None
        self._residents: dict[str, Any] = {}
        self._mix: Any = None
        self._fused: WeakKeyDictionary[nn.Module, tuple[Any, nn.Module]] = WeakKeyDictionary()

    @classmethod
    def from_pretrained(
        cls: type[_Pipeline],
        pretrained_model_name_or_path: str | os.PathLike[str],
        **kwargs: Any,
    ) -> _Pipeline:
        """Load a style: safetensors only, and no code but this library's.

        A Hub id is looked up on the Hub each time; when the Hub does not answer, the copy in the
        cache is used. The files of a copy are compared with the hashes in its card at every load
        (about a millisecond per megabyte). A folder of yours is not: you may edit it.

        Args:
            pretrained_model_name_or_path: name of a bundled style, folder, or Hub id, tried in this
                order.
            **kwargs: as in diffusers: `variant`, `revision`, `cache_dir`, `token`,
                `local_files_only`, `dtype`, components by name, … The generator computes in float32
                unless `dtype` says otherwise, also when its file holds float16.

        Returns:
            The pipeline in evaluation mode, on the CPU.

        Raises:
            StyleNotFoundError: there is no such style; the message lists the bundled ones.
            HubError: the Hub refuses, asks to wait, or breaks off a download.
            ModelFileError: files are missing, damaged, changed, pickles, or belong to something
                else; or a Hub repository holds pickles or code.
            ConfigError: a configuration or an option is not valid.
        """
        name = os.fspath(pretrained_model_name_or_path)
        for option in ("custom_pipeline", "trust_remote_code"):
            if kwargs.pop(option, None):
                raise ConfigError(f"{option} is not supported: code from the Hub is never run.")
        if kwargs.pop("use_safetensors", True) is False:
            raise ConfigError("use_safetensors=False is not supported: pickles can run code.")
        kwargs["use_safetensors"] = True
        wanted = kwargs.pop("dtype", kwargs.pop("torch_dtype", None)) or torch.float32
        types = wanted if isinstance(wanted, dict) else {"generator": wanted}
        for dtype in types.values():
            _check_float(dtype)
        kwargs["dtype"] = {"default": torch.float32, **types}
        place = locate_style(name)
        folder = place if isinstance(place, Path) else fetch_style(place, kwargs)
        check_style(folder, name)
        try:
            pipe: _Pipeline = super().from_pretrained(os.fspath(folder), **kwargs)
        except TPSPortraitError:
            raise
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
            raise ModelFileError(
                f"The style {name} cannot be loaded: {str(error).rstrip('.')}. Check `variant` and "
                "the components that were passed, or save or download the style again."
            ) from error
        # diffusers would store this in every copy of the style, folders of the author included.
        pipe._internal_dict = FrozenDict(
            {key: value for key, value in pipe.config.items() if key != "_name_or_path"}
        )
        pipe._source, pipe._folder, pipe._photos = name, folder, folder
        config = read_style_config(folder, name)
        pipe.style = config.get("style") or Path(name).name
        pipe.base, pipe.recipe = config.get("base"), dict(config.get("mix") or {})
        pipe.card = read_card(folder)
        return pipe

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        safe_serialization: bool = True,
        variant: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the style as a folder that `from_pretrained` and the Hub take.

        The bundled landmarker is not copied into it. From the folder that the style was loaded from
        come its photos for calibration and, if the weights are still the same, `facts.json`: what
        was measured holds for those.

        Args:
            save_directory: folder; created when missing. Its name is the style's name unless
                `style` is set.
            safe_serialization: must stay true.
            variant: `fp16` or `bf16` store the generator in that type, under a name of its own;
                another word only changes the name.
            **kwargs: as in diffusers.

        Raises:
            OutputError: the folder cannot be written.
            ConfigError: pickles were asked for.
        """
        if not safe_serialization:
            raise ConfigError("safe_serialization=False is not supported: pickles can run code.")
        folder = Path(save_directory)
        try:
            facts = self._facts()  # before the folder that it reads may be written
            folder.mkdir(parents=True, exist_ok=True)
            write_style_config(
                folder, self.style or folder.resolve().name, base=self.base, mix=self.recipe
            )
            if self.card is not None:
                (folder / README).write_text(unpin(self.card), "utf-8")
            if facts is not None:
                (folder / FACTS).write_bytes(facts)
            copy_calibration(self._photos, folder)
            super().save_pretrained(os.fspath(folder), variant=variant, **kwargs)
            if variant in _VARIANTS and self.generator.dtype != _VARIANTS[variant]:
                reduced = copy.deepcopy(self.generator).to(_VARIANTS[variant])
                reduced.save_pretrained(folder / "generator", variant=variant)
        except TPSPortraitError:
            raise
        except OSError as error:
            raise OutputError(
                f"Cannot write the style to {folder}: {error}. Choose a folder that can be written."
            ) from error

    def to(self: _Pipeline, *args: Any, **kwargs: Any) -> _Pipeline:
        """Move the pipeline to a device, and its generator to a type.

        Args:
            *args: a device, a dtype, or both in this order.
            **kwargs: `device` and `dtype`, and what diffusers takes.

        Returns:
            The pipeline itself.

        Raises:
            ConfigError: torch has no such device, or the type is not a floating-point one.
        """
        dtype = kwargs.pop("dtype", None)
        devices = []
        for value in args:
            if isinstance(value, torch.dtype):
                dtype = value
            elif value is not None:
                devices.append(value)
        if dtype is not None:
            _check_float(dtype)
        for device in (*devices, kwargs.get("device")):
            _check_device(device)
        if devices or kwargs.get("device") is not None:
            super().to(*devices, **kwargs)
        if dtype is not None:
            self.generator.to(dtype=dtype)
        return self

    @property
    def name_or_path(self) -> str | None:
        """What the style was loaded by, `None` if it was not loaded."""
        return self._source

    @property
    def dtype(self) -> torch.dtype:
        """Type in which the generator computes."""
        dtype: torch.dtype = self.generator.dtype
        return dtype

    @property
    def calibration_photos(self) -> list[Path]:
        """Photos of its training that the style carries, to calibrate `int8` with; maybe none."""
        return [] if self._photos is None else read_calibration(self._photos)

    @property
    def landmarker(self) -> FaceLandmarker:
        """The component `landmarks`, or the bundled one, loaded on first use."""
        if self.landmarks is not None:
            return self.landmarks
        if self._shared_landmarks is None:
            self._shared_landmarks = FaceLandmarker.from_pretrained(shared_landmarks())
        if self._shared_landmarks.device != self._execution_device:
            self._shared_landmarks.to(self._execution_device)
        return self._shared_landmarks

    def _facts(self) -> bytes | None:
        """Facts of the style that was loaded, `None` if it has none or its weights changed."""
        if self._folder is None or not (self._folder / FACTS).is_file():
            return None
        same = _holds(self._folder / "generator", self.generator)
        same = same and _holds(self._folder / "aligner", self.aligner)
        return (self._folder / FACTS).read_bytes() if same else None

    def inference_network(self) -> nn.Module:
        """Return the generator with folded norms, made anew when its weights or place change."""
        generator = self.generator
        if hasattr(generator, "_orig_mod") or hasattr(generator, "_hf_hook"):
            return generator  # compiled or offloaded: a copy would undo that
        key = [(p.data_ptr(), p.dtype, p.device) for p in generator.parameters()]
        versions = [0 if p.is_inference() else p._version for p in generator.parameters()]
        known = self._fused.get(generator)
        if known is None or known[0] != (key, versions):
            fused = generator.fuse().to(memory_format=torch.channels_last)
            known = self._fused[generator] = ((key, versions), fused)
        return known[1]


def _holds(folder: Path, module: nn.Module) -> bool:
    """Tell whether a file in a folder holds the weights of a module, but for their type."""
    present = module.state_dict()
    if not present or any(value.is_meta for value in present.values()):
        return False
    for path in folder.glob("*.safetensors"):
        stored = load_file(path)
        if stored.keys() == present.keys() and all(
            value.to(present[key].dtype).equal(present[key].cpu()) for key, value in stored.items()
        ):
            return True
    return False


def _check_component(name: str, value: object, kind: type, *, optional: bool) -> None:
    kinds = (kind, ExportedGenerator) if kind is StyleGenerator else (kind,)
    # torch.compile wraps a module in another class.
    if isinstance(getattr(value, "_orig_mod", value), kinds) or (optional and value is None):
        return
    raise ConfigError(
        f"{name} must be a {kind.__name__}, got {type(value).__name__}. Leave it out of "
        "`from_pretrained` to load the style's own."
    )


def _check_float(dtype: object) -> None:
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype != "auto" and not (isinstance(found, torch.dtype) and found.is_floating_point):
        raise ConfigError(
            f"dtype must be a floating-point type of torch, got {dtype!r}. Pass torch.float32, "
            "torch.float16 or torch.bfloat16."
        )


def _check_device(device: object) -> None:
    if not isinstance(device, str):
        return
    try:
        torch.device(device)
    except RuntimeError as error:
        raise ConfigError(
            f"There is no device {device!r} ({str(error).splitlines()[0]}). Pass cpu, cuda or mps."
        ) from error
