"""What the commands share: messages, quiet libraries, the device, the pipeline."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

from ..errors import ConfigError, TPSPortraitError

if TYPE_CHECKING:
    import torch

    from ..pipeline import TPSPortraitPipeline


def one_line(error: BaseException) -> str:
    """Put the message of an error on one line, for a terminal or a log."""
    text = " ".join(str(error).split())
    return text if isinstance(error, TPSPortraitError) else f"{type(error).__name__}: {text}"


def quiet_libraries() -> None:
    """Keep the notices of the libraries underneath off the terminal; errors still come through."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
    logging.getLogger("tps_portrait").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")


def choose_device(name: str) -> torch.device:
    """Turn the user's word for a device into one that works here.

    Args:
        name: `auto` for the fastest there is, or a torch device such as `cpu`, `cuda:1` or `mps`.

    Returns:
        A device on which a tensor could be made.

    Raises:
        ConfigError: torch does not know the device or cannot use it on this machine.
    """
    import torch

    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()  # the device meta makes tensors, but cannot compute
    # AssertionError is what a torch that was built without a device says of it.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"Device {name!r} cannot be used here ({reason}). Leave --device out, or use cpu."
        ) from error
    return device


def load_pipeline(style: str, device: str) -> TPSPortraitPipeline:
    """Load a style and put it on a device.

    Args:
        style: name of a bundled style, folder, or Hub id.
        device: as for `choose_device`.

    Returns:
        The pipeline, ready to be called, without progress bars of its own.

    Raises:
        ConfigError: the device cannot be used.
        StyleNotFoundError: there is no such style.
        ModelFileError: the style's files are damaged.
    """
    from ..pipeline import TPSPortraitPipeline

    chosen = choose_device(device)
    pipe = TPSPortraitPipeline.from_pretrained(style).to(chosen)
    pipe.set_progress_bar_config(disable=True)
    return pipe
