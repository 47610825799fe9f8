"""What a preparation came to: for programs, as `report.json`, and as a summary to read."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._version import __version__
from .options import PrepareOptions
from .records import REASONS, Crop, LeftOut
from .workspace import write_whole

REPORT = "report.json"


@dataclass(frozen=True)
class Preparation:
    """What became of a folder of pictures.

    Attributes:
        folder: the training set.
        source: what it was made from.
        pictures: number of pictures looked at, in this run or an earlier one.
        examined: number of those examined in this run.
        crops: what the set holds, each with the name of its picture; by file name.
        left_out: what it does not hold and why; by name of the picture.
        sheets: contact sheets.
    """

    folder: Path
    source: str
    pictures: int
    examined: int
    crops: tuple[tuple[str, Crop], ...]
    left_out: tuple[LeftOut, ...]
    sheets: tuple[Path, ...] = ()

    def reasons(self) -> dict[str, int]:
        """How many were left out for each reason, the most frequent first."""
        return dict(Counter(item.reason for item in self.left_out).most_common())

    def write(self, options: PrepareOptions) -> Path:
        """Write `report.json`.

        Raises:
            OSError: it cannot be written.
        """
        settings: dict[str, Any] = dict(vars(options))
        settings["min_side"] = options.least_side
        report = {
            "source": self.source,
            "library": f"tps_portrait {__version__}",
            "options": settings,
            "pictures": self.pictures,
            "crops": len(self.crops),
            "left_out_by_reason": self.reasons(),
            "used": [
                {
                    "file_name": crop.file_name,
                    "picture": picture,
                    "side": crop.side,
                    "sharpness": crop.sharpness,
                    "outside": crop.outside,
                    "notes": list(crop.notes),
                }
                for picture, crop in self.crops
            ],
            "left_out": [vars(item) for item in self.left_out],
        }
        path = self.folder / REPORT
        write_whole(path, [json.dumps(report, indent=1, ensure_ascii=False)])
        return path

    def summary(self, limit: int = 20) -> str:
        """A few lines for a terminal.

        Args:
            limit: name at most so many pictures that were left out, and so many with notes.
        """
        again = self.pictures - self.examined
        known = f"; {again} were known from an earlier run" if again else ""
        lines = [
            f"{_count(len(self.crops), 'crop')} from {_count(self.pictures, 'picture')}{known}"
        ]
        if self.left_out:
            parts = [f"{count} {REASONS[reason]}" for reason, count in self.reasons().items()]
            lines.append(f"left out: {', '.join(parts)}")
            lines += _some([f"{item.picture}: {item.detail}" for item in self.left_out], limit)
        noted = [(picture, crop) for picture, crop in self.crops if crop.notes]
        if noted:
            lines.append(f"worth a look: {_count(len(noted), 'crop')}, framed in amber")
            lines += _some([f"{p}: {'; '.join(crop.notes)}" for p, crop in noted], limit)
        if self.sheets:
            more = f" to {self.sheets[-1].name}" if len(self.sheets) > 1 else ""
            lines.append(f"see {self.sheets[0]}{more} and {self.folder / REPORT}")
        return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _some(items: list[str], limit: int) -> list[str]:
    more = [f"  … and {len(items) - limit} more, in {REPORT}"] if len(items) > limit else []
    return [f"  {item}" for item in items[:limit]] + more
