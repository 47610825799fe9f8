"""Publishing: what lies in the repository, who may, and the whole way there and back."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard, constants
from PIL import Image

from conftest import ASTRONAUT, tiny_pipeline
from hub_fixtures import OWNER, READER, hub, naps
from hub_server import HubServer
from tps_portrait import (
    ConfigError,
    FaceLandmarker,
    HubError,
    ModelFileError,
    TPSPortraitPipeline,
    list_styles,
)
from tps_portrait.evaluation.report import Metric as Evaluated
from tps_portrait.evaluation.report import Report
from tps_portrait.hub.cards import Metric
from tps_portrait.hub.pins import read_pins, split_card
from tps_portrait.hub.publish import complete_card, read_metrics
from tps_portrait.hub.styles import shared_landmarks

PULL = """
import sys
import numpy as np
from tps_portrait import TPSPortraitPipeline, list_styles
(info,) = [info for info in list_styles(tags="style:ink") if info.source == "hub"]
pipe = TPSPortraitPipeline.from_pretrained(info.id)
drawing = pipe(sys.argv[1], geometry_strength=0.5, output_type="np").images[0]
np.save(sys.argv[2], drawing)
"""


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small portrait."""
    path = tmp_path_factory.mktemp("photos") / "me.jpg"
    Image.open(ASTRONAUT).convert("RGB").resize((128, 128)).save(path)
    return path


@cache
def bundled_landmarker() -> FaceLandmarker:
    return FaceLandmarker.from_pretrained(shared_landmarks())


def ink() -> TPSPortraitPipeline:
    pipe = tiny_pipeline(seed=5, face_size=64, frame_size=96)
    with torch.no_grad():
        pipe.aligner.template[8, 1] += 0.1
    pipe.style = "ink"
    pipe._shared_landmarks = bundled_landmarker()  # loaded once for all tests
    return pipe


def published(hub: HubServer, repo_id: str = "owner/ink") -> dict[str, bytes]:
    found = hub.repos[repo_id].files("main")
    assert found is not None
    return found[1]


def test_there_and_back(
    hub: HubServer, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = ink()
    pipe.push_to_hub("owner/ink", license="cc-by-4.0", samples=[photo], token=OWNER)
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "fresh"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    arguments = [sys.executable, "-c", PULL, str(photo), str(tmp_path / "drawn.npy")]
    subprocess.run(arguments, check=True, env=environment, capture_output=True, timeout=300)
    expected = pipe(photo, geometry_strength=0.5, output_type="np").images[0]
    assert np.array_equal(np.load(tmp_path / "drawn.npy"), expected)
    assert hub.repos["owner/ink"].downloads == 1
    hub.stop()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    cache = tmp_path / "fresh" / "hub"
    offline = TPSPortraitPipeline.from_pretrained("owner/ink", cache_dir=cache)
    again = offline(photo, geometry_strength=0.5, output_type="np").images[0]
    assert np.array_equal(again, expected)
    with pytest.warns(UserWarning, match="HF_HUB_OFFLINE"):
        assert "owner/ink" in [info.id for info in list_styles(cache_dir=cache)]


MEASURED = Metric("landmark-error", 1.5, "synthetic", "Landmark error (px)", (1.25, 1.75))


class TestRepository:
    @pytest.fixture
    def files(self, hub: HubServer, photo: Path) -> dict[str, bytes]:
        commit = ink().push_to_hub(
            "owner/ink",
            private=True,
            commit_message="Dry the ink",
            license="cc-by-4.0",
            description="Black ink.",
            metrics=[MEASURED],
            samples=[photo],
            variant="fp16",
            token=OWNER,
        )
        assert commit.oid == hub.repos["owner/ink"].refs["main"]
        return published(hub)

    def test_all_of_it(self, hub: HubServer, files: dict[str, bytes], tmp_path: Path) -> None:
        assert set(files) == {
            ".gitattributes",
            "README.md",
            "aligner/config.json",
            "aligner/model.fp16.safetensors",
            "aligner/model.safetensors",
            "config.json",
            "generator/config.json",
            "generator/model.fp16.safetensors",
            "generator/model.safetensors",
            "image_processor/preprocessor_config.json",
            "landmarks/config.json",
            "landmarks/model.safetensors",
            "model_index.json",
            "samples/me.jpg",
            "thumbnail.jpg",
        }
        assert hub.repos["owner/ink"].private
        assert hub.repos["owner/ink"].messages[-1] == "Dry the ink"
        assert json.loads(files["config.json"])["library_name"] == "tps-portrait"
        (tmp_path / "t.jpg").write_bytes(files["thumbnail.jpg"])
        (tmp_path / "s.jpg").write_bytes(files["samples/me.jpg"])
        assert Image.open(tmp_path / "t.jpg").size == (384, 384)
        assert Image.open(tmp_path / "s.jpg").size == (256, 128)

        card = ModelCard(files["README.md"].decode())
        assert card.data.library_name == "tps-portrait"
        assert card.data.pipeline_tag == "image-to-image"
        assert {"portrait-stylization", "style:ink", "tps-portrait"} <= set(card.data.tags)
        assert card.data.license == "cc-by-4.0"
        (result,) = card.data.eval_results
        assert (result.metric_type, result.metric_value) == ("landmark-error", 1.5)
        assert "diffusers" not in card.content.partition("---\n\n")[0]
        assert "from_pretrained('owner/ink')" in card.text
        assert "](samples/me.jpg)" in card.text
        pins = read_pins(split_card(files["README.md"].decode())[0])
        assert set(pins) == set(files) - {"README.md", ".gitattributes"}
        for path, pin in pins.items():
            assert pin == (hashlib.sha256(files[path]).hexdigest(), len(files[path]))

        (info,) = list_styles(source="hub", token=OWNER)
        assert (info.description, info.metrics) == ("Black ink.", (MEASURED,))
        assert (info.private, info.license) == (True, "cc-by-4.0")
        landmarks = FaceLandmarker.from_pretrained(
            "owner/ink", subfolder="landmarks", token=OWNER, cache_dir=tmp_path
        )
        bundled = bundled_landmarker().state_dict()
        assert all(torch.equal(v, bundled[k]) for k, v in landmarks.state_dict().items())

    def test_again(self, hub: HubServer, photo: Path) -> None:
        options = {"samples": [photo], "token": OWNER, "with_landmarks": False}
        ink().push_to_hub("owner/ink", license="cc-by-4.0", variant="fp16", **options)
        pipe = TPSPortraitPipeline.from_pretrained("owner/ink")
        pipe.card = f"{pipe.card}\nIt smells of soot.\n"
        pipe.push_to_hub("owner/ink", revision="main", **options)
        text = published(hub)["README.md"].decode()
        assert text.count("## Samples") == text.count("It smells of soot.") == 1
        assert "fp16" not in "".join(published(hub))
        assert split_card(text)[0]["license"] == "cc-by-4.0"
        assert TPSPortraitPipeline.from_pretrained("owner/ink").card == text

    def test_others_keys_stay(self, hub: HubServer, photo: Path) -> None:
        pipe = ink()
        pipe.card = (
            "---\nlicense: mit\nlanguage: fr\ntags: [soot, 'style:old']\n---\n# Encre\n\nNoire.\n"
        )
        pipe.push_to_hub("owner/ink", samples=[photo], token=OWNER, with_landmarks=False)
        metadata, body = split_card(published(hub)["README.md"].decode())
        assert (metadata["license"], metadata["language"]) == ("mit", "fr")
        assert "soot" in metadata["tags"]
        assert "style:old" not in metadata["tags"]
        assert body.lstrip().startswith("# Encre\n\nNoire.\n\n## Samples\n")

    def test_metrics_of_an_evaluation(self, tmp_path: Path) -> None:
        report = Report("ink", "faces", ["a.jpg"])
        report.add(Evaluated("landmark_error", 1.25, 1, interval=(1.0, 1.5)))
        path = tmp_path / "report.json"
        path.write_text(report.to_json())
        pipe = ink()
        pipe.card = "---\nlicense: mit\n---\n# ink\n"
        for metrics in (report.to_model_index(), read_metrics(path)):
            pipe.save_pretrained(tmp_path / "ink")
            complete_card(tmp_path / "ink", "me/ink", metrics=metrics)
            (result,) = ModelCard.load(tmp_path / "ink" / "README.md").data.eval_results
            assert (result.metric_type, result.metric_value) == ("landmark_error", 1.25)
            assert (result.metric_name, result.dataset_name) == ("landmark error", "faces")
            assert result.metric_args == {"interval_95": [1.0, 1.5]}
        odd = '{"dataset": "faces", "metrics": {"fid": {"value": 1, "interval_95": [1]}}}'
        for bad in ("{}", "[1]", "no", odd):
            path.write_text(bad)
            with pytest.raises(ModelFileError, match=r"report\.json cannot be read"):
                read_metrics(path)
        with pytest.raises(ConfigError, match="metrics must be Metric objects"):
            complete_card(tmp_path / "ink", "me/ink", metrics=[{"type": "fid"}])

    def test_own_space_pull_request_and_save(
        self, hub: HubServer, photo: Path, tmp_path: Path
    ) -> None:
        pipe = ink()
        pipe.card = "---\nlicense: mit\n---\n# ink\n\n`X.from_pretrained('ink')`\n"
        pipe.save_pretrained(tmp_path / "ink", push_to_hub=True, repo_id="ink", token=OWNER)
        text = published(hub)["README.md"].decode()
        assert "library_name: tps-portrait" in text
        assert "from_pretrained('owner/ink')" in text
        main = hub.repos["owner/ink"].refs["main"]
        pull = pipe.push_to_hub("owner/ink", samples=[photo], token=OWNER, create_pr=True)
        assert pull.pr_url.endswith("/discussions/1")
        assert hub.repos["owner/ink"].refs["main"] == main


def test_samples_of_one_name(photo: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / photo.name
    other.parent.mkdir()
    Image.open(photo).rotate(180).save(other)
    numbered = photo.with_stem(f"{photo.stem}-3")
    shutil.copy(photo, numbered)
    written = ink().save_pictures(tmp_path, [photo, numbered, other], thumbnail=False)
    assert len(set(written)) == 3
    assert {path.name for path in (tmp_path / "samples").iterdir()} == {p.name for p in written}


class TestRefused:
    def test_no_licence(self, hub: HubServer, photo: Path) -> None:
        with pytest.raises(ConfigError, match="names no licence"):
            ink().push_to_hub("owner/ink", samples=[photo], token=OWNER)
        assert not hub.log

    @pytest.mark.parametrize(
        ("token", "reason"),
        [
            (False, "does not accept the token"),
            ("hf_wrong", r"\(401\). Log in with `hf auth login`"),
            (READER, r"\(403\).*don't have the rights"),
        ],
    )
    def test_who_may_not(self, hub: HubServer, photo: Path, token: str | bool, reason: str) -> None:
        with pytest.raises(HubError, match=rf"Cannot publish to owner/ink.*{reason}"):
            ink().push_to_hub("owner/ink", license="mit", samples=[photo], token=token)
        assert not hub.repos

    @pytest.mark.parametrize(
        ("pattern", "status"),
        [("POST /api/repos", 429), ("POST .*/commit/", 500), ("POST .*batch", 403)],
    )
    def test_broken_hub(
        self, hub: HubServer, photo: Path, naps: list[float], pattern: str, status: int
    ) -> None:
        with hub.fault(pattern, status=status), pytest.raises(HubError, match=str(status)):
            ink().push_to_hub("owner/ink", license="mit", samples=[photo], token=OWNER)
        assert all(len(repo.commits) == 1 for repo in hub.repos.values())

    def test_hub_down(self, hub: HubServer, photo: Path, naps: list[float]) -> None:
        hub.stop()
        with pytest.raises(HubError, match=r"cannot be reached\. Check the connection"):
            ink().push_to_hub("owner/ink", license="mit", samples=[photo], token=OWNER)

    def test_repository_with_pickles(self, hub: HubServer, photo: Path) -> None:
        hub.add("owner/ink", {"old.pt": b"x"})
        with pytest.raises(ModelFileError, match=r"owner/ink is refused: it holds old\.pt"):
            ink().push_to_hub("owner/ink", license="mit", samples=[photo], token=OWNER)

    def test_bad_id(self, hub: HubServer, photo: Path) -> None:
        for repo_id in ("a/b/c", "", "owner/in k", "owner/.."):
            with pytest.raises(ConfigError, match="is no id of a repository"):
                ink().push_to_hub(repo_id, license="mit", samples=[photo], token=OWNER)
