"""`tps-portrait camera` where there is no window, no screen or no camera."""

from __future__ import annotations

import sys

import pytest

from tps_portrait.cli import main


def test_without_opencv(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert main(["camera"]) == 1
    assert 'pip install "tps-portrait[camera]"' in capsys.readouterr().err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have no DISPLAY")
def test_without_a_display(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cv2", reason="OpenCV, the extra `camera`, is not installed")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert main(["camera"]) == 1
    assert "There is no display" in capsys.readouterr().err


def test_without_a_camera(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cv2", reason="OpenCV, the extra `camera`, is not installed")
    monkeypatch.setenv("DISPLAY", ":99")
    assert main(["camera", "--camera", "no-such-clip.mp4"]) == 1
    assert "no-such-clip.mp4 cannot be opened" in capsys.readouterr().err
