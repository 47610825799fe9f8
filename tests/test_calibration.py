"""Photos of a training that go along with its style: which, where, and with what credit."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import PartialState
from PIL import Image

from calibration_photos import CREDITED, brightness, shades
from conftest import load_script, tiny_pipeline
from faces import EXAMPLES
from test_cards import facts
from tps_portrait import ModelFileError, OutputError
from tps_portrait.hub.calibration import (
    copy_calibration,
    drop_private,
    may_travel,
    read_calibration,
    save_calibration,
    spread,
)
from tps_portrait.hub.cards import write_card
from tps_portrait.hub.facts import read_facts
from tps_portrait.hub.styles import BUNDLED_FOLDER, bundled_styles
from tps_portrait.training.data import FaceSet, load_faces

ROOT = Path(__file__).parents[1]


class TestLicences:
    @pytest.mark.parametrize(
        "terms",
        [
            *("CC0-1.0", "cc0", "CC0 1.0 Universal", "public domain", "Public Domain Mark 1.0"),
            "https://creativecommons.org/publicdomain/zero/1.0/",
        ],
    )
    def test_free_ones_need_no_credit(self, terms: str) -> None:
        assert may_travel({"license": terms})

    @pytest.mark.parametrize(
        "terms",
        [
            *("CC-BY-4.0", "cc by 2.0", "CC BY-SA 4.0"),
            "Creative Commons Attribution 4.0 International",
            "https://creativecommons.org/licenses/by/4.0/",
        ],
    )
    def test_others_need_somebody_to_credit(self, terms: str) -> None:
        assert not may_travel({"license": terms})
        assert may_travel({"license": terms, "source": "doi"})
        assert may_travel({"license": terms, "author": "me"})

    @pytest.mark.parametrize(
        "terms",
        [
            *(None, "", 4, "all rights reserved", "not public domain", "CC-BY-NC-4.0"),
            *("CC BY-ND 4.0", "cc-by-nc-sa", "none stated; for measuring only", "MIT"),
            "https://creativecommons.org/licenses/by-nc/4.0/",
        ],
    )
    def test_all_else_stays_at_home(self, terms: object) -> None:
        assert not may_travel({"license": terms, "source": "doi"})


class TestChoice:
    def test_spreads_over_the_brightness_without_outliers(self) -> None:
        levels = [int(x) for x in torch.randperm(200, generator=torch.manual_seed(0))]
        chosen = sorted(levels[index] for index in spread(shades(*levels), 8))
        assert chosen == [12, 37, 62, 87, 112, 137, 162, 187]
        assert spread(shades(9, 5, 7), 8) == [1, 2, 0]
        assert spread([]) == []


class TestFolder:
    def test_photos_with_their_credits(self, tmp_path: Path) -> None:
        wide = shades(0, 200, size=(300, 600))
        rows: list[dict[str, Any]] = [
            {"file_name": "mine.jpg"},
            {"file_name": "a b/me.png", **CREDITED, "identity": "me", "landmarks": [[0, 0]]},
        ]
        (file,) = save_calibration(tmp_path, wide, rows)
        assert file == tmp_path / "calibration" / "01.jpg"
        assert Image.open(file).format == "JPEG"
        assert Image.open(file).size == (384, 192)
        assert brightness([file]) == [200]
        (line,) = (tmp_path / "calibration" / "metadata.jsonl").read_text().splitlines()
        assert json.loads(line) == {
            "file_name": "01.jpg",
            **CREDITED,
            "changes": "face cut out, scaled to 384 x 192 pixels",
        }

    def test_new_ones_replace_old_ones(self, tmp_path: Path) -> None:
        rows = [{"file_name": "x.jpg", "license": "CC0"}] * 12
        first = save_calibration(tmp_path, shades(*range(0, 240, 20)), rows)
        assert len({file.name for file in first}) == 8
        (second,) = save_calibration(tmp_path, shades(50), rows[:1])
        assert list((tmp_path / "calibration").glob("*.jpg")) == [second]
        assert save_calibration(tmp_path, shades(50), [{"file_name": "x.jpg"}]) == []
        assert not (tmp_path / "calibration").exists()

    def test_as_many_as_are_wanted(self, tmp_path: Path) -> None:
        rows = [CREDITED] * 12
        assert len(save_calibration(tmp_path, shades(*range(0, 240, 20)), rows, 3)) == 3
        assert save_calibration(tmp_path, shades(*range(0, 240, 20)), rows, 0) == []

    def test_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "style").write_text("a file")
        with pytest.raises(OutputError, match="Cannot write the photos"):
            save_calibration(tmp_path / "style", shades(9), [CREDITED])

    @pytest.mark.parametrize(
        "line", ["no json", '{"file_name": "../out.jpg"}', '{"file_name": "gone.jpg"}']
    )
    def test_damaged_metadata(self, tmp_path: Path, line: str) -> None:
        save_calibration(tmp_path / "style", shades(9), [CREDITED])
        shutil.copy(*(tmp_path / "style" / "calibration").glob("*.jpg"), tmp_path / "style/out.jpg")
        (tmp_path / "style" / "calibration" / "metadata.jsonl").write_text(line)
        with pytest.raises(ModelFileError, match="Download or save the style again"):
            read_calibration(tmp_path / "style")

    def test_copies_replace_what_was_there(self, tmp_path: Path) -> None:
        for name, level in (("one", 10), ("two", 90)):
            save_calibration(tmp_path / name, shades(level), [{**CREDITED, "file_name": name}])
        copy_calibration(tmp_path / "one", tmp_path / "one")
        copy_calibration(tmp_path / "one", tmp_path / "two")
        assert brightness(read_calibration(tmp_path / "two")) == [10]
        names = sorted(path.name for path in (tmp_path / "two" / "calibration").iterdir())
        assert names == ["01.jpg", "metadata.jsonl"]
        copy_calibration(tmp_path / "nothing", tmp_path / "two")
        assert read_calibration(tmp_path / "two") == []
        copy_calibration(tmp_path / "one", tmp_path / "two")
        copy_calibration(None, tmp_path / "two")
        assert not (tmp_path / "two" / "calibration").exists()

    def test_private_ones_are_dropped(self, tmp_path: Path) -> None:
        rows = [{**CREDITED, "file_name": name} for name in ("kept", "private")]
        save_calibration(tmp_path, shades(10, 90), rows)
        place = tmp_path / "calibration"
        lines = place.joinpath("metadata.jsonl").read_text().splitlines()
        lines[1] = lines[1].replace("CC-BY-4.0", "mine")
        place.joinpath("metadata.jsonl").write_text("\n".join(lines))
        shutil.copy(place / "02.jpg", place / "unnamed.jpg")
        assert drop_private(tmp_path) == ["02.jpg", "unnamed.jpg"]
        assert [path.name for path in read_calibration(tmp_path)] == ["01.jpg"]
        assert drop_private(tmp_path) == []
        place.joinpath("metadata.jsonl").unlink()
        assert drop_private(tmp_path) == ["01.jpg"]
        assert not place.exists()


class TestTraining:
    @pytest.fixture
    def photos(self, tmp_path: Path) -> Path:
        """Twenty photos that a training takes, the first ten with a licence."""
        folder, lines = tmp_path / "photos", []
        folder.mkdir()
        rows = (EXAMPLES / "metadata.jsonl").read_text().splitlines()[:20]
        for index, line in enumerate(rows):
            row = {"file_name": f"{index}.png", "landmarks": json.loads(line)["landmarks"]}
            Image.new("RGB", (64, 64), (10 * index,) * 3).save(folder / row["file_name"])
            lines.append(json.dumps({**row, **(CREDITED if index < 10 else {})}))
        (folder / "metadata.jsonl").write_text("\n".join(lines))
        return folder

    def test_rows_keep_their_place(self, photos: Path) -> None:
        found = load_faces(photos, 64)
        assert found.rows[3] == {"file_name": "3.png", **CREDITED}
        assert found.rows[13] == {"file_name": "13.png"}
        assert found.take([13, 3]).rows == (found.rows[13], found.rows[3])
        made = FaceSet(found.images[:2], found.landmarks[:2], ("a", "b"), found.masks[:2])
        assert (made + found).rows[2 + 3] == found.rows[3]
        assert (found + made).rows[20:] == ({}, {})
        assert made.take([1]).rows == ()

    def test_licensed_photos_go_along_and_private_ones_do_not(
        self, photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        PartialState(cpu=True)
        caplog.set_level(logging.INFO)
        script = load_script(ROOT / "examples/train.py")
        pipe = tiny_pipeline(seed=2)
        args = SimpleNamespace(output_dir=str(tmp_path), resolution=64, style="ink")
        args.push_to_hub, args.calibration_photos = False, 8
        every = load_faces(photos, 64)
        try:
            script.save_style(args, pipe.generator, pipe.aligner, facts(), photos=every)
            carried = brightness(read_calibration(tmp_path / "style"))
            assert (len(carried), max(carried)) == (8, 90)
            assert "8 photos with their credits" in caplog.text
            assert "10 name no licence" in caplog.text
            private = every.take(range(10, 20))
            script.save_style(args, pipe.generator, pipe.aligner, facts(), photos=private)
        finally:
            PartialState._reset_state()
        assert not (tmp_path / "style" / "calibration").exists()
        assert "--calibration FOLDER" in caplog.text

    def test_tools_keep_and_add_photos(self, photos: Path, tmp_path: Path) -> None:
        bundling = load_script(ROOT / "tools/bundle_style.py")
        adding = load_script(ROOT / "tools/carry_photos.py")
        source, target = tmp_path / "run", tmp_path / "ink"
        tiny_pipeline(seed=1).save_pretrained(source)
        write_card(source, facts(style="run"))
        bundling.bundle(source, target)
        assert read_calibration(target) == []
        adding.main([str(target), str(photos), "--resolution", "64"])
        first = [file.name for file in read_calibration(target)]
        assert len(first) == 8
        bundling.bundle(source, target)
        assert [file.name for file in read_calibration(target)] == first
        save_calibration(source, shades(77), [CREDITED])
        bundling.bundle(source, target)
        assert brightness(read_calibration(target)) == [77]
        with pytest.raises(adding.ConfigError, match="holds no style"):
            adding.carry(photos, [photos])


@pytest.mark.parametrize("style", bundled_styles())
class TestBundled:
    def test_photos_are_of_the_training_and_credited(self, style: str) -> None:
        folder = BUNDLED_FOLDER / style
        told, notice = read_facts(folder), (ROOT / "NOTICE").read_text()
        assert told is not None
        lines = (folder / "calibration" / "metadata.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        assert 6 <= len(rows) <= 8
        held_out = json.loads((ROOT / "examples/data/photos/heldout_labels.json").read_text())
        for row in rows:
            assert may_travel(row)
            assert f"{row['source']} ({row['license']})" in told.credits
            assert row["file_name"] not in held_out
            assert row["source"] in " ".join(notice.split())
        kept = {file.name for file in (folder / "calibration").iterdir()}
        assert kept == {"metadata.jsonl", *(row["file_name"] for row in rows)}

    def test_photos_are_small_and_differ(self, style: str) -> None:
        files = read_calibration(BUNDLED_FOLDER / style)
        assert sum(file.stat().st_size for file in files) < 300_000
        for file in files:
            with Image.open(file) as picture:
                assert picture.format == "JPEG"
                assert 256 <= picture.width == picture.height <= 384
        levels = brightness(files)
        assert max(levels) - min(levels) > 50
