"""Write `docs/assets/hub_round_trip.txt`: a style published, found, fetched and used offline.

python docs/make_hub_log.py

The Hub is the one of the tests, `tests/hub_server.py`, on this machine.
"""

from __future__ import annotations

import filecmp
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from hub_server import HubServer  # noqa: E402

STYLE = ROOT / "src" / "tps_portrait" / "styles" / "animation"
PHOTO = ROOT / "src" / "tps_portrait" / "assets" / "astronaut.jpg"
PUSH = "push style owner/animation --description 'A film look, drawn from 100 CC0 renders.'"
STEPS = (
    (PUSH, {"HF_TOKEN": "hf_owner"}),
    ("styles animation", {}),
    ("pull owner/animation", {}),
    ("stylize photo.jpg --style owner/animation -o online.png", {}),
    ("stylize photo.jpg --style owner/animation -o offline.png", {"HF_HUB_OFFLINE": "1"}),
    ("styles --source cached", {"HF_HUB_OFFLINE": "1"}),
)


def main() -> None:
    """Run the commands against a fresh Hub and note what they print and what the Hub was asked."""
    hub, lines = HubServer(), []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "style").symlink_to(STYLE)
        (folder / "photo.jpg").symlink_to(PHOTO)
        always = {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(folder / "home"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "PYTHONPATH": str(ROOT / "src"),
        }
        for command, settings in STEPS:
            hub.log.clear()
            done = subprocess.run(
                f"{sys.executable} -m tps_portrait {command}",
                shell=True,
                cwd=folder,
                env={**os.environ, **always, **settings},
                capture_output=True,
                text=True,
                check=True,
            )
            prefix = "".join(f"{key}={value} " for key, value in settings.items())
            lines += [f"$ {prefix}tps-portrait {command}", *done.stdout.rstrip().splitlines()]
            asked = [line for line in hub.log if "agent-harnesses" not in line]
            lines += [f"    {line.partition('?')[0]}" for line in asked] or ["    (no request)"]
            lines.append("")
        same = filecmp.cmp(folder / "online.png", folder / "offline.png", shallow=False)
        lines += ["$ cmp online.png offline.png && echo same", "same" if same else "different"]
        text = "\n".join(line.rstrip() for line in lines) + "\n"
        text = text.replace(str(folder), "~").replace(hub.url, "https://hub.example")
        text = re.sub(r"\b([0-9a-f]{8})[0-9a-f]{32,}\b", r"\1…", text)
    (ROOT / "docs" / "assets" / "hub_round_trip.txt").write_text(text, "utf-8")
    hub.stop()


if __name__ == "__main__":
    main()
