import logging

import pytest
import torch

from tps_portrait.errors import ConfigError
from tps_portrait.training.precision import usable_precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
OLD = {"architecture": "x86_64", "avx2": True, "avx512_bw": False, "avx_ne_convert": False}


@pytest.mark.parametrize(
    ("wanted", "device", "processor", "used"),
    [
        ("bf16", CPU, OLD, "no"),
        ("bf16", CPU, OLD | {"avx512_bw": True}, "bf16"),
        ("bf16", CPU, OLD | {"avx_ne_convert": True}, "bf16"),
        ("bf16", CPU, {"architecture": "arm64", "neon": True}, "bf16"),
        ("bf16", CPU, {}, "bf16"),
        ("bf16", CUDA, OLD, "bf16"),
        ("no", CPU, OLD, "no"),
        ("fp16", CUDA, OLD, "fp16"),
    ],
)
def test_bf16_is_used_where_the_processor_has_it(
    wanted: str,
    device: torch.device,
    processor: dict,
    used: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor, raising=False)
    with caplog.at_level(logging.WARNING, "tps_portrait"):
        assert usable_precision(wanted, device) == used
    assert ("no bf16" in caplog.text) == (used != wanted)


def test_fp16_is_refused_on_a_processor() -> None:
    with pytest.raises(ConfigError, match=r"needs a graphics card.*bf16, or no"):
        usable_precision("fp16", CPU)


def test_torch_without_a_description_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert usable_precision("bf16", CPU) == "bf16"
