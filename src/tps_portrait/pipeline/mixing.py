"""Several styles in one pipeline, used in turn or mixed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..models.aligner import TPSAligner
from ..models.generator import StyleGenerator
from ..models.generator.averaging import averaged, why_not_average, with_one_noise
from ..processing import PortraitImageProcessor
from .base import StylePipeline

_Pipeline = TypeVar("_Pipeline", bound="MixingPipeline")


@dataclass(frozen=True)
class StyleMix:
    """What `set_style` did.

    Attributes:
        shares: of each style in use, summing to 1.
        method: `single` for one style; `weights` if the weights of the generators were averaged,
            which costs as much time as one style; `output` if each generator draws and the
            drawings are averaged, which takes the time of all.
        reason: why this method, a sentence.
    """

    shares: Mapping[str, float]
    method: Literal["single", "weights", "output"]
    reason: str

    def __str__(self) -> str:
        """Return shares, method and reason on one line."""
        shares = " + ".join(f"{share:g} {name}" for name, share in self.shares.items())
        return f"{shares} ({self.method}): {self.reason}"


class BlendedGenerator(nn.Module):
    """Averages the drawings of several generators.

    Args:
        generators: the networks.
        shares: of each drawing, summing to 1.
    """

    def __init__(self, generators: Sequence[nn.Module], shares: Sequence[float]) -> None:
        super().__init__()
        self.generators = nn.ModuleList(generators)
        self.shares = tuple(shares)

    def forward(self, pixel_values: Tensor, grid: Tensor | None = None) -> Tensor:
        """Draw.

        Args:
            pixel_values: (B, 3, H, W) in [-1, 1].
            grid: (B, h, w, 2), normalised (x, y), as for `StyleGenerator`.

        Returns:
            The average drawing (B, 3, H, W) in [-1, 1].
        """
        more = () if grid is None else (grid,)
        drawings = (network(pixel_values, *more) for network in self.generators)
        total = None
        for share, drawing in zip(self.shares, drawings, strict=True):
            part = share * drawing
            total = part if total is None else total + part
        if total is None:
            raise ConfigError("A blend needs at least one generator.")
        return total

    def fuse(self) -> BlendedGenerator:
        """Return a copy with folded norms; see `StyleGenerator.fuse`."""
        return BlendedGenerator([g.fuse() for g in self.generators], self.shares)  # type: ignore[operator]

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device


@dataclass
class _Resident:
    """A style kept in memory, with what belongs to it."""

    generator: StyleGenerator
    aligner: TPSAligner
    image_processor: PortraitImageProcessor
    style: str | None
    card: str | None
    base: str | None
    recipe: dict[str, float]
    source: str | None
    folder: Path | None
    photos: Path | None

    @property
    def root(self) -> str | None:
        """The style that its training goes back to."""
        return self.base or self.source


class MixingPipeline(StylePipeline):
    """Keeps several styles; see `StylePipeline`. A generator takes about 4 MB in float32."""

    def load_style(
        self, style: str | os.PathLike[str], name: str | None = None, **kwargs: Any
    ) -> str:
        """Load another style beside the present one, which stays in use until `set_style`.

        Faces are still found by this pipeline's landmarker.

        Args:
            style: name of a bundled style, folder, or Hub id.
            name: what to call it here; its own name by default.
            **kwargs: as for `from_pretrained`: `revision`, `variant`, `token`, `cache_dir`,
                `local_files_only`.

        Returns:
            What it is called here.

        Raises:
            ConfigError: a style of that name is loaded already.
            StyleNotFoundError: there is no such style.
            HubError: the Hub refuses, asks to wait, or breaks off a download.
            ModelFileError: its files are missing, damaged or refused.
        """
        self._keep_present()
        if name is not None and name in self._residents:
            raise ConfigError(_taken(name))
        kwargs = {"dtype": self.dtype, **kwargs}
        other = type(self).from_pretrained(style, landmarks=None, **kwargs)
        name = name or other.style or Path(os.fspath(style)).name
        if name in self._residents:
            raise ConfigError(_taken(name))
        resident = other._as_resident()
        resident.generator.to(device=self._execution_device)
        resident.aligner.to(device=self._execution_device)
        self._residents[name] = resident
        return name

    def set_style(self, style: str | Mapping[str, float]) -> StyleMix:
        """Choose the style to draw in, or mix several.

        Generators whose training began from the same base are mixed by averaging their weights: as
        fast as one style, and saved as a style of its own. The base is recorded in `config.json`
        and in the card. Generators without a common base have nothing in common weight by weight,
        so their drawings are averaged. The mean face is averaged in both cases; sizes are those of
        the style with the largest share.

        Args:
            style: a name of `styles`, or names and shares, which are scaled to sum to 1.

        Returns:
            What is in use now, by which method, and why. Also in `mix`.

        Raises:
            ConfigError: there is no such style, or shares are not positive numbers.
        """
        self._keep_present()
        shares = _normalised({style: 1.0} if isinstance(style, str) else style, self._residents)
        chosen = [self._residents[name] for name in shares]
        largest = self._residents[max(shares, key=lambda name: shares[name])]
        generator: nn.Module
        if len(chosen) == 1:
            mix = StyleMix(shares, "single", "one style needs no mixing.")
            generator, aligner = largest.generator, largest.aligner
        else:
            weights = list(shares.values())
            generators = [resident.generator for resident in chosen]
            by_weights, reason = _can_average(chosen, generators)
            mix = StyleMix(shares, "weights" if by_weights else "output", reason)
            generator = (
                averaged(with_one_noise(generators), weights)
                if by_weights
                else BlendedGenerator(generators, weights)
            )
            aligner = averaged([resident.aligner for resident in chosen], weights)
        self.register_modules(
            generator=generator.eval(),
            aligner=aligner.eval(),
            image_processor=largest.image_processor,
        )
        single = mix.method == "single"
        self.style = largest.style if single else "+".join(shares)
        self.card = largest.card if single else None
        self.base = largest.base if single else (chosen[0].root if by_weights else None)
        self.recipe = dict(largest.recipe) if single else dict(shares)
        self._source = largest.source if single else None
        self._folder = largest.folder if single else None
        self._photos = largest.photos
        self._mix = mix
        return mix

    def unload_style(self, name: str) -> None:
        """Forget a loaded style.

        Args:
            name: one of `styles`, not in use.

        Raises:
            ConfigError: there is no such style, or it is in use.
        """
        self._keep_present()
        if name not in self._residents:
            raise ConfigError(_unknown(name, self._residents))
        if name in self.mix.shares:
            raise ConfigError(
                f"The style {name!r} is in use. Choose another with `set_style` first."
            )
        del self._residents[name]

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the loaded styles."""
        self._keep_present()
        return tuple(self._residents)

    @property
    def mix(self) -> StyleMix:
        """What is in use; see `set_style`."""
        self._keep_present()
        mix: StyleMix = self._mix
        return mix

    def to(self: _Pipeline, *args: Any, **kwargs: Any) -> _Pipeline:
        """Move the pipeline, and all loaded styles, to a device and type.

        Args:
            *args: a device, a dtype, or both in this order.
            **kwargs: `device` and `dtype`, and what diffusers takes.

        Returns:
            The pipeline itself.

        Raises:
            ConfigError: torch has no such device, or the type is not a floating-point one.
        """
        super().to(*args, **kwargs)
        for resident in self._residents.values():
            resident.generator.to(device=self.generator.device, dtype=self.dtype)
            resident.aligner.to(device=self.aligner.device)
        return self

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any
    ) -> None:
        """Write the style in use as a folder; see `StylePipeline.save_pretrained`.

        Args:
            save_directory: folder; created when missing.
            *args: passed on.
            **kwargs: passed on.

        Raises:
            ConfigError: the style in use is a blend of outputs, which is several networks.
        """
        if isinstance(self.generator, BlendedGenerator):
            raise ConfigError(
                "A blend of outputs is several networks and no style of its own. Save its parts, "
                "or mix styles that share a base."
            )
        super().save_pretrained(save_directory, *args, **kwargs)

    def _keep_present(self) -> None:
        """Count the style that the pipeline was made with among the loaded ones."""
        if not self._residents:
            name = self.style or "default"
            self._residents[name] = self._as_resident()
            self._mix = StyleMix({name: 1.0}, "single", "one style needs no mixing.")

    def _as_resident(self) -> _Resident:
        return _Resident(
            generator=self.generator,
            aligner=self.aligner,
            image_processor=self.image_processor,
            style=self.style,
            card=self.card,
            base=self.base,
            recipe=dict(self.recipe),
            source=self._source,
            folder=self._folder,
            photos=self._photos,
        )


def _taken(name: str) -> str:
    return f"A style named {name!r} is loaded already. Pass another name=, or unload it first."


def _unknown(name: object, known: Mapping[str, Any]) -> str:
    return f"No style {name!r} is loaded. Loaded: {', '.join(known)}. Others: `load_style` first."


def _normalised(wanted: Mapping[str, float], known: Mapping[str, Any]) -> dict[str, float]:
    for name, share in wanted.items():
        if name not in known:
            raise ConfigError(_unknown(name, known))
        number = isinstance(share, int | float) and not isinstance(share, bool)
        if not number or not 0 <= share < float("inf"):
            raise ConfigError(
                f"The share of {name!r} must be a number of at least 0, got {share!r}."
            )
    total = float(sum(wanted.values()))
    if total <= 0:
        raise ConfigError(
            "The shares must have a positive sum. Pass such as {'ink': 0.6, 'oil': 0.4}."
        )
    return {name: share / total for name, share in wanted.items() if share > 0}


def _can_average(
    residents: Sequence[_Resident], generators: Sequence[StyleGenerator]
) -> tuple[bool, str]:
    """Tell whether weights may be averaged, and why or why not."""
    roots = {resident.root for resident in residents}
    if None in roots or len(roots) > 1 or not any(resident.base for resident in residents):
        names = ", ".join(
            f"{resident.style or 'a style'}: {resident.base or 'none recorded'}"
            for resident in residents
        )
        return False, f"the styles record no common base ({names}), so drawings are averaged."
    if reason := why_not_average(generators):
        return False, f"{reason}, so drawings are averaged."
    return True, f"they share the base {roots.pop()}, so weights are averaged."
