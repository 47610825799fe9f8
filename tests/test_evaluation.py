"""Whole evaluations: folders in, report out; the example script as people run it."""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCardData
from huggingface_hub.repocard_data import model_index_to_eval_results
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from conftest import ASTRONAUT, DATA, tiny_pipeline
from faces import EXAMPLES, make_picture, write_metadata
from test_cards import facts as style_facts
from test_evaluation_metrics import small_mobile, small_sface
from tps_portrait.errors import ConfigError, DatasetError, ModelFileError, OutputError
from tps_portrait.evaluation import (
    Evaluation,
    EvaluationOptions,
    FaceSet,
    Metric,
    MobileNetV2,
    Report,
    SFace,
    evaluate,
    networks,
    read_faces,
    read_labels,
    read_truth,
    write_report,
)
from tps_portrait.evaluation.groups import group_faces, measure_groups, pose
from tps_portrait.hub.cards import write_card
from tps_portrait.hub.facts import read_facts
from tps_portrait.hub.styles import shared_landmarks
from tps_portrait.models.landmarks import FaceLandmarker
from tps_portrait.ops.landmarks import CROP_EYE_CENTER, eye_centers, mean_face

ROOT = Path(__file__).parents[1]
SIDE = 160


@pytest.fixture(scope="module")
def landmarker() -> FaceLandmarker:
    """The bundled landmarker."""
    return FaceLandmarker.from_pretrained(shared_landmarks())


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, landmarker: FaceLandmarker) -> FaceSet:
    """Two faces cut out of whole photos."""
    folder = tmp_path_factory.mktemp("photos")
    for source in (ASTRONAUT, DATA / "grace_hopper.jpg"):
        (folder / source.name).write_bytes(source.read_bytes())
    (folder / "broken.jpg").write_bytes(b"no picture")
    make_picture(0).save(folder / "nobody.png")
    return read_faces(folder, SIDE, landmarker=landmarker)


@pytest.fixture(scope="module")
def examples() -> FaceSet:
    """Four style examples."""
    return read_faces(EXAMPLES, SIDE, limit=4)


@pytest.fixture
def small_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Real networks of few channels, in files."""
    mobile, sface = small_mobile(), small_sface()
    stages = ((1, 8, 1, 1), (4, 12, 2, 2), (4, 16, 1, 2))
    monkeypatch.setitem(networks.NETWORKS, "mobilenet_v2", partial(MobileNetV2, stages, 8, 24))
    monkeypatch.setitem(networks.NETWORKS, "sface", partial(SFace, (4, 8, 8, 16), 12))
    folder = tmp_path / "networks"
    folder.mkdir()
    save_file(mobile.state_dict(), folder / "mobilenet_v2.safetensors")
    save_file(sface.state_dict(), folder / "sface.safetensors")
    return folder


def same(pictures: Sequence[Tensor]) -> list[Tensor]:
    """The perfect copy."""
    return [picture.clone() for picture in pictures]


def blank(pictures: Sequence[Tensor]) -> list[Tensor]:
    """The worst drawing."""
    return [torch.full_like(picture, 128) for picture in pictures]


# Folders


def test_photos_are_cropped_as_training_crops_them(photos: FaceSet) -> None:
    assert photos.names == ["astronaut.jpg", "grace_hopper.jpg"]
    assert photos.cropped
    assert {tuple(image.shape) for image in photos.images} == {(3, SIDE, SIDE)}
    assert sorted(line.split(":")[0] for line in photos.skipped) == ["broken.jpg", "nobody.png"]
    for landmarks in photos.landmarks:
        assert landmarks is not None
        middle = eye_centers(landmarks).mean(0)
        torch.testing.assert_close(middle, torch.tensor(CROP_EYE_CENTER), atol=1e-3, rtol=0)


def test_sets_with_metadata_are_taken_as_they_are(examples: FaceSet) -> None:
    rows = (EXAMPLES / "metadata.jsonl").read_text().splitlines()[:4]
    assert not examples.cropped
    assert examples.names == [json.loads(row)["file_name"] for row in rows]
    first = examples.landmarks[0]
    assert first is not None
    torch.testing.assert_close(first, torch.tensor(json.loads(rows[0])["landmarks"]))


def test_unusable_folders(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folder"):
        read_faces(tmp_path / "absent", SIDE)
    with pytest.raises(DatasetError, match="it holds none"):
        read_faces(tmp_path, SIDE)
    Image.new("RGB", (64, 80)).save(tmp_path / "tall.png")
    with pytest.raises(DatasetError, match="no square face crop"):
        read_faces(tmp_path, SIDE)
    Image.new("RGB", (64, 64)).save(tmp_path / "square.png")
    mirrored = (mean_face() * torch.tensor([-1.0, 1.0])).tolist()
    for landmarks, reason in (([[1, 2]], r"not \(68, 2\)"), (mirrored, "the eyes are swapped")):
        write_metadata(tmp_path, [{"file_name": "square.png", "landmarks": landmarks}])
        with pytest.raises(DatasetError, match=reason):
            read_faces(tmp_path, SIDE)
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "square.png"}\n{"name": 1}\n')
    with pytest.raises(DatasetError, match="line 2"):
        read_faces(tmp_path, SIDE)


def test_truth_is_paired_by_name(tmp_path: Path, photos: FaceSet, examples: FaceSet) -> None:
    stem = Path(examples.names[2]).stem
    make_picture(0, 80).save(tmp_path / f"{stem}.png")
    make_picture(1, 80).save(tmp_path / "another.png")
    truth = read_truth(tmp_path, examples, SIDE)
    assert list(truth) == [2]
    assert truth[2].shape == (3, SIDE, SIDE)
    with pytest.raises(DatasetError, match="register"):
        read_truth(tmp_path, photos, SIDE)
    (tmp_path / f"{stem}.png").unlink()
    with pytest.raises(DatasetError, match="paired by file name"):
        read_truth(tmp_path, examples, SIDE)


# Evaluations


def test_the_perfect_copy(
    photos: FaceSet, examples: FaceSet, landmarker: FaceLandmarker, small_networks: Path
) -> None:
    """A style that changes nothing keeps faces, geometry and truth, and moves with the photo."""
    options = EvaluationOptions(small_networks, samples=50, motion_photos=1, clips=1, frames=2)
    truth = dict(enumerate(photos.images))
    report = evaluate(
        same,
        photos,
        examples,
        landmarker=landmarker,
        truth=truth,
        generator=nn.Conv2d(3, 3, 3, padding=1),
        options=options,
    ).report
    values = {name: metric.value for name, metric in report.metrics.items()}
    assert values["identity_cosine_sface"] == pytest.approx(1)
    assert values["identity_lost_sface"] == 0
    assert (values["face_found"], values["landmark_error"]) == (1, 0)
    assert (values["skin_lightness_change"], values["skin_colour_error"]) == (0, 0)
    assert (values["ssim"], values["psnr"]) == (pytest.approx(1), 100)
    assert values["feature_distance_mobilenet_v2"] == pytest.approx(0, abs=1e-6)
    assert values["motion_error"] < 0.6
    assert values["flicker"] == pytest.approx(
        report.metrics["flicker"].references["a still drawing"]
    )
    assert values["macs"] == SIDE * SIDE * 3 * 3 * 9
    for name in ("kid_mobilenet_v2", "fid_mobilenet_v2"):
        assert values[name] == pytest.approx(report.metrics[name].references["photos"])
    # A number of another network never goes by the plain name.
    assert not {"fid", "kid", "lpips"} & set(values)
    assert {"landmark_error_mouth", "landmark_error_left_eye"} <= set(values)
    assert 0 < report.metrics["landmark_error"].references["mirrored photos"] < 5


def test_lighter_skin_is_above_zero(
    photos: FaceSet, examples: FaceSet, landmarker: FaceLandmarker, tmp_path: Path
) -> None:
    options = EvaluationOptions(
        tmp_path / "none", skip_missing=True, motion_photos=0, clips=0, samples=10
    )

    def lighter(pictures: list[Tensor]) -> list[Tensor]:
        return [(picture.float() * 0.8 + 51).to(torch.uint8) for picture in pictures]

    report = evaluate(lighter, photos, examples, landmarker=landmarker, options=options).report
    change = report.metrics["skin_lightness_change"].value
    assert change > 2
    assert report.metrics["skin_colour_error"].value >= change - 1e-3


def test_the_lost_face(
    photos: FaceSet, examples: FaceSet, landmarker: FaceLandmarker, tmp_path: Path
) -> None:
    """Without networks and faces in the drawings, the report says what is left out and why."""
    options = EvaluationOptions(
        tmp_path / "none", skip_missing=True, motion_photos=0, clips=0, samples=10
    )
    report = evaluate(blank, photos, examples, landmarker=landmarker, options=options).report
    assert report.metrics["face_found"].value == 0
    skin = {"skin_lightness_change", "skin_colour_error"}  # where the face was in the photo
    assert set(report.metrics) == {"face_found", "landmark_noise", *skin}
    assert "convert_eval_networks.py" in report.skipped["kid_mobilenet_v2"]
    assert "convert_eval_networks.py" in report.skipped["identity_cosine_sface"]
    assert "broken.jpg" in report.skipped[f"pictures of {photos.label}"]
    assert "identity_lost_sface" in report.to_markdown()


def test_missing_networks_stop_before_anything_is_drawn(
    photos: FaceSet, examples: FaceSet, landmarker: FaceLandmarker, tmp_path: Path
) -> None:
    def never(pictures: Sequence[Tensor]) -> list[Tensor]:
        raise AssertionError("drawn")

    options = EvaluationOptions(tmp_path)
    with pytest.raises(ModelFileError, match="convert_eval_networks"):
        evaluate(never, photos, examples, landmarker=landmarker, options=options)


def test_unusable_requests(
    photos: FaceSet, examples: FaceSet, landmarker: FaceLandmarker, tmp_path: Path
) -> None:
    options = EvaluationOptions(tmp_path, skip_missing=True)
    one = FaceSet("one", photos.names[:1], photos.images[:1], photos.landmarks[:1], [])
    with pytest.raises(ConfigError, match="at least two"):
        evaluate(same, one, examples, landmarker=landmarker, options=options)

    def halved(pictures: Sequence[Tensor]) -> list[Tensor]:
        return [picture[:, ::2, ::2] for picture in pictures]

    with pytest.raises(ConfigError, match="must return"):
        evaluate(halved, photos, examples, landmarker=landmarker, options=options)
    with pytest.raises(ConfigError, match="frames"):
        EvaluationOptions(frames=1)


# Reports


def made_report() -> Report:
    """A report of three photos."""
    report = Report("ink & wash", "people", ["a.jpg", "<b>.jpg", "c.jpg"])
    report.add(Metric("fid_mobilenet_v2", 12.5, 3, better="lower", interval=(10.0, 15.0)))
    report.add_values(
        "identity_cosine_sface", {0: 0.5, 1: 0.9, 2: 0.1}, samples=50, seed=0, better="higher"
    )
    report.add_values("landmark_error", {0: 2.0, 1: 3.0}, samples=50, seed=0, better="lower")
    report.add_values("flicker", {1: 9.0}, samples=50, seed=0, better="lower")
    report.add_values("nothing", {}, samples=50, seed=0)
    report.skipped["kid_inception_v3"] = "not at hand"
    report.settings["seed"] = 0
    return report


def test_ranking_puts_the_worst_first() -> None:
    report = made_report()
    assert report.ranking("identity_cosine_sface") == [2, 0, 1]
    assert report.ranking("landmark_error") == [1, 0]
    # The third face was lost, which is worse than any error; one clip does not count.
    assert report.overall_ranking() == [2, 0, 1]


def test_json_and_markdown() -> None:
    report = made_report()
    facts = json.loads(report.to_json())
    assert facts["metrics"]["fid_mobilenet_v2"] == {
        "value": 12.5,
        "count": 3,
        "better": "lower",
        "interval_95": [10, 15],
    }
    assert facts["pictures"][2] == {"file_name": "c.jpg", "identity_cosine_sface": 0.1}
    assert facts["metrics"]["identity_cosine_sface"]["quantiles"]["0.5"] == 0.5
    assert "nothing" not in facts["metrics"]
    table = report.to_markdown()
    assert "| `fid_mobilenet_v2` ↓ | 12.5 | 10 to 15 |  | 3 |  |" in table
    assert "- `kid_inception_v3`: not at hand" in table


def test_model_index_is_what_the_hub_reads() -> None:
    index = made_report().to_model_index()
    name, results = model_index_to_eval_results(index)
    assert name == "ink & wash"
    assert [result.metric_type for result in results] == list(made_report().metrics)
    assert results[0].metric_value == 12.5
    assert results[0].dataset_name == "people"
    card = ModelCardData(model_name=name, eval_results=results)
    assert "fid_mobilenet_v2" in card.to_yaml()


def test_files(photos: FaceSet, tmp_path: Path) -> None:
    report = Report("ink", "people", ["<script>.jpg", "b.jpg"])
    report.add_values("ssim", {0: 0.2, 1: 0.6}, samples=50, seed=0, better="higher")
    truth = {1: photos.images[1]}
    evaluation = Evaluation(report, photos, photos.images[::-1], truth)
    files = write_report(evaluation, tmp_path / "new")
    assert json.loads(files["json"].read_text())["name"] == "ink"
    page = files["html"].read_text()
    assert "<script>" not in page
    assert page.index("ssim: worst") < page.index("ssim: best")
    shots = set(re.findall(r'src="([^"]+)"', page))
    assert len(shots) == 5
    for shot in shots:
        assert Image.open(tmp_path / "new" / shot).size == (SIDE, SIDE)
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OutputError, match="can be written"):
        write_report(evaluation, blocked)


def test_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a style of its own and photos as people have them, with and without the networks."""
    tiny_pipeline().save_pretrained(tmp_path / "tiny")
    (tmp_path / "photos").mkdir()
    for source in (ASTRONAUT, DATA / "mona_lisa.jpg"):
        (tmp_path / "photos" / source.name).write_bytes(source.read_bytes())
    flags = ["--style", "tiny", "--photos", "photos", "--examples", str(EXAMPLES)]
    flags += ["--max_examples", "2", "--size", "128", "--mode", "frame", "--samples", "10"]
    flags += ["--motion_photos", "1", "--clips", "0"]
    monkeypatch.chdir(tmp_path)
    script = str(ROOT / "examples" / "evaluate.py")
    monkeypatch.setattr(sys, "argv", [script, *flags])
    with pytest.raises(SystemExit, match=r"^error: .*--output_dir runs/networks"):
        runpy.run_path(script, run_name="__main__")
    labels = {"astronaut.jpg": {"skin_tone": "light", "accessories": "none"}}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    flags += ["--skip_missing", "--labels", "labels.json", "--update_card"]
    flags += ["--held_out", "none of them was trained on"]
    monkeypatch.setattr(sys, "argv", [script, *flags])
    with pytest.raises(SystemExit, match=r"^error: --update_card needs a style with facts\.json"):
        runpy.run_path(script, run_name="__main__")
    write_card(tmp_path / "tiny", style_facts(style="tiny"))
    runpy.run_path(script, run_name="__main__")
    facts = json.loads((tmp_path / "out/evaluation/metrics.json").read_text())
    assert facts["name"] == "tiny"
    assert {"face_found", "motion_error", "macs"} <= set(facts["metrics"])
    assert "--mode frame" in facts["settings"]["command"]
    assert (tmp_path / "out/evaluation/report.html").is_file()
    assert {(g["aspect"], g["name"], g["count"]) for g in facts["groups"]} >= {
        ("skin tone", "light", 1),
        ("accessories", "none", 1),
        ("pose", "frontal", 1),
        ("pose", "turned", 1),  # the Mona Lisa
    }
    told = read_facts(tmp_path / "tiny")
    assert told is not None
    (found,) = told.measurements
    assert [metric.type for metric in found.metrics] == list(facts["metrics"])
    assert found.held_out == "none of them was trained on"
    card = (tmp_path / "tiny" / "README.md").read_text()
    assert "--labels labels.json --update_card" in card
    assert "| skin tone | light | 1 |" in card
    assert "| age |  |  | not measured |" in card


def test_parts_of_a_set(photos: FaceSet, tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text('{"grace_hopper.jpg": {"age": "old", "pose": "three quarters"}}')
    labelled = replace(photos, labels=read_labels(path, photos))
    groups = group_faces(labelled)
    assert groups == [{"pose": "frontal"}, {"pose": "three quarters", "age": "old"}]
    report = Report("ink", "people", photos.names)
    report.add_values("landmark_error", {0: 1.0, 1: 3.0}, samples=50, seed=0, better="lower")
    report.add_share("identity_lost_sface", {0: False, 1: True}, unit="share", better="lower")
    report.add_share("face_found", {}, unit="share", better="higher")
    assert "face_found" not in report.metrics
    assert report.metrics["identity_lost_sface"].value == 0.5
    results = measure_groups(report, groups, samples=50, seed=0)
    lost = results[0].metrics["identity_lost_sface"]
    assert lost.value == 1
    assert lost.interval == pytest.approx((0.2065, 1), abs=1e-4)  # Wilson's of one of one
    assert [(r.aspect, r.name, r.metrics["landmark_error"].value) for r in results] == [
        ("age", "old", 3.0),
        ("pose", "frontal", 1.0),
        ("pose", "three quarters", 3.0),
    ]
    report.groups = results
    assert "| age | old | 1 | `landmark_error` 3; `identity_lost_sface` 1 (" in report.to_markdown()
    for text, why in (
        ("[1]", "cannot be read"),
        ('{"a.jpg": {"mood": "calm"}}', "has the labels mood"),
        ('{"a.jpg": {"age": "old"}}', "names no photo"),
    ):
        path.write_text(text)
        with pytest.raises(DatasetError, match=why):
            read_labels(path, photos)


def test_pose_of_turned_faces(photos: FaceSet) -> None:
    """A head turned by an angle, as a cylinder whose nose stands out by half a radius."""
    landmarks = photos.landmarks[0]
    assert landmarks is not None
    for degrees, expected in ((0, "frontal"), (5, "frontal"), (30, "turned"), (-30, "turned")):
        turned = landmarks.clone()
        half = float((landmarks[16] - landmarks[0]).norm()) / 2
        shift = 0.5 * half * torch.sin(torch.deg2rad(torch.tensor(float(degrees))))
        turned[30] = landmarks[[0, 16]].mean(0) + torch.stack((shift, torch.tensor(0.1)))
        assert pose(turned) == expected
        assert pose(-turned) == expected  # upside down, as in pixels and out of them
