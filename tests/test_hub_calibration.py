"""Photos for calibration go where their style goes, the Hub included."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from calibration_photos import CREDITED, brightness, carrying, shades
from conftest import ASTRONAUT, tiny_pipeline
from hub_fixtures import OWNER, hub
from hub_server import HubServer
from tps_portrait import TPSPortraitPipeline
from tps_portrait.hub.calibration import read_calibration, save_calibration


def test_photos_go_where_the_style_goes(tmp_path: Path) -> None:
    for seed, name in ((1, "dark"), (2, "light")):
        pipe = tiny_pipeline(seed)
        pipe.base = "somewhere"
        pipe.save_pretrained(tmp_path / name)
        save_calibration(tmp_path / name, shades(100 * seed), [CREDITED])
    pipe = TPSPortraitPipeline.from_pretrained(tmp_path / "dark")
    pipe.save_pretrained(tmp_path / "again")
    assert brightness(read_calibration(tmp_path / "again")) == [100]
    pipe.load_style(tmp_path / "light", name="light")
    assert pipe.set_style({"dark": 0.3, "light": 0.7}).method == "weights"
    assert brightness(pipe.calibration_photos) == [200]
    pipe.save_pretrained(tmp_path / "mix")
    assert brightness(read_calibration(tmp_path / "mix")) == [200]
    pipe.set_style("dark")
    assert brightness(pipe.calibration_photos) == [100]
    assert tiny_pipeline().calibration_photos == []


def test_to_the_hub_and_back(
    hub: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipe = carrying(tiny_pipeline(), tmp_path / "ink", shades(10, 90))
    text = (tmp_path / "ink/calibration/metadata.jsonl").read_text()
    (tmp_path / "ink/calibration/metadata.jsonl").write_text(text.replace("CC-BY", "no", 1))
    options: dict[str, Any] = {"license": "mit", "samples": [ASTRONAUT], "token": OWNER}
    caplog.set_level(logging.WARNING, "tps_portrait")
    for folder in (None, tmp_path / "ink"):
        caplog.clear()
        pipe.push_to_hub("owner/ink", folder=folder, with_landmarks=False, **options)
        files = hub.repos["owner/ink"].files("main")
        assert files is not None
        found = {path for path in files[1] if path.startswith("calibration/")}
        assert found == {"calibration/02.jpg", "calibration/metadata.jsonl"}
        assert "Not published: 01.jpg" in caplog.text
    pulled = TPSPortraitPipeline.from_pretrained("owner/ink")
    assert brightness(pulled.calibration_photos) == [90]
    assert pulled.calibration_photos[0].is_relative_to(tmp_path / "cache")
