"""Lists of styles: bundled, cached, on the Hub; and what happens when the Hub is not there."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, constants
from PIL import Image

from hub_fixtures import OWNER, hub, naps, style_files
from hub_server import HubServer
from tps_portrait import (
    ConfigError,
    HubError,
    ModelFileError,
    StyleInfo,
    StyleNotFoundError,
    list_styles,
    style_info,
)
from tps_portrait.hub import HubUnavailableWarning, Metric
from tps_portrait.hub.download import fetch_style
from tps_portrait.hub.facts import read_facts
from tps_portrait.hub.metrics import model_index
from tps_portrait.hub.pins import join_card, split_card
from tps_portrait.hub.styles import bundled_styles

Files = dict[str, bytes]


def card(name: str, **metadata: object) -> str:
    base = {"library_name": "tps-portrait", "tags": ["portrait-stylization", f"style:{name}"]}
    return join_card({**base, **metadata}, f"# {name}")


def publish(hub: HubServer, repo_id: str, *, downloads: int = 0, **metadata: object) -> None:
    name = repo_id.partition("/")[2]
    files = {"README.md": card(name, **metadata), "model_index.json": "{}", "config.json": "{}"}
    hub.add(repo_id, files, downloads=downloads)


class TestHub:
    def test_record(self, hub: HubServer, style_files: Files) -> None:
        hub.add("owner/ink", {**style_files, "thumbnail.jpg": b"x"}, downloads=12, likes=3)
        hub.add("owner/other-library", {"README.md": "---\nlibrary_name: diffusers\n---\n"})
        (info,) = list_styles(source="hub")
        sha = hub.repos["owner/ink"].refs["main"]
        assert info == StyleInfo(
            id="owner/ink",
            name="ink",
            source="hub",
            license="cc-by-4.0",
            thumbnail=f"{hub.url}/owner/ink/resolve/{sha}/thumbnail.jpg",
            size=sum(len(v) for k, v in style_files.items() if k != "README.md"),
            downloads=12,
            likes=3,
            tags=info.tags,
            revision=sha,
            updated="2026-11-20T10:00:00.000Z",
        )
        assert {"tps-portrait", "portrait-stylization", "style:ink"} <= set(info.tags)
        assert json.loads(json.dumps(info.to_dict()))["license"] == "cc-by-4.0"

    def test_metadata(self, hub: HubServer) -> None:
        entries = [{"type": "fid", "value": 61.5}, {"type": "x", "value": "high"}]
        results = {"dataset": {"type": "faces"}, "metrics": entries}
        own = {"description": "Ink.", "base": "owner/base"}
        index = [{"name": "ink", "results": [results]}]
        publish(hub, "owner/ink", **{"model-index": index, "tps_portrait": own})
        (info,) = list_styles(source="hub")
        assert (info.description, info.base, info.metrics) == (
            "Ink.",
            "owner/base",
            (Metric("fid", 61.5, "faces"),),
        )

    def test_results_on_several_sets_stay_apart(self, hub: HubServer) -> None:
        measured = (
            Metric("fid", 61.5, "studio", "FID", (60.0, 63.0)),
            Metric("kid", 1.0, "studio", "KID"),
            Metric("fid", 70.0, "wild", "FID"),
        )
        publish(hub, "owner/ink", **{"model-index": model_index("ink", measured)})
        (info,) = list_styles(source="hub")
        assert info.metrics == measured
        # The Hub's own reader finds the same.
        _, files = hub.repos["owner/ink"].files("main") or ("", {})
        results = ModelCard(files["README.md"].decode()).data.eval_results
        assert [(r.dataset_name, r.metric_type, r.metric_value) for r in results] == [
            (m.dataset, m.type, m.value) for m in measured
        ]
        told = json.loads(json.dumps(info.to_dict()))["metrics"]
        assert told[0] == {
            "dataset": "studio",
            "type": "fid",
            "name": "FID",
            "value": 61.5,
            "interval": [60.0, 63.0],
        }
        assert [entry["dataset"] for entry in told] == ["studio", "studio", "wild"]

    @pytest.mark.parametrize(
        "metadata",
        [
            {"tags": "ink"},
            {"model-index": {"a": [1]}},
            {"model-index": [{"results": 5}]},
            {"model-index": [{"results": [{"metrics": 5}]}]},
            {"model-index": [{"results": [{"dataset": 5, "metrics": [{"value": 10**400}]}]}]},
            {"model-index": [{"results": [{"metrics": [{"value": float("nan")}]}]}]},
            {"model-index": [{"results": [{"metrics": [{"value": True, "args": {"a": 1}}]}]}]},
            {"tps_portrait": [1]},
            {"tps_portrait": {"files": {"a": {"sha256": 1, "size": "large"}}}},
        ],
        ids=str,
    )
    def test_odd_metadata(self, hub: HubServer, metadata: dict[str, object]) -> None:
        publish(hub, "owner/ink")
        text = card("ink", tags=["tps-portrait", "style:ink"])
        fields, body = split_card(text)
        files = {"README.md": join_card({**fields, **metadata}, body), "model_index.json": "{}"}
        hub.add("owner/odd", files)
        styles = list_styles(source="hub")
        assert {info.id for info in styles} == {"owner/ink", "owner/odd"}
        assert not any(info.metrics for info in styles)

    def test_text_of_a_card_does_not_steer_a_terminal(self, hub: HubServer) -> None:
        own = {"description": "Ink.\x1b[2J\r\nMore\u202e."}
        publish(hub, "owner/ink", license="mit\x1b]0;x\x07", tps_portrait=own)
        (info,) = list_styles(source="hub")
        assert (info.description, info.license) == ("Ink. [2J More .", "mit ]0;x ")

    def test_filters_and_order(self, hub: HubServer) -> None:
        publish(hub, "ann/ink", downloads=5)
        publish(hub, "ann/oil", downloads=9)
        publish(hub, "bob/ink-wash", downloads=7)

        def ids(**options: object) -> list[str]:
            return [info.id for info in list_styles(source="hub", **options)]

        assert ids() == ["ann/oil", "bob/ink-wash", "ann/ink"]
        assert ids(sort="name") == ["ann/ink", "bob/ink-wash", "ann/oil"]
        assert ids(query="ink") == ["bob/ink-wash", "ann/ink"]
        assert ids(author="ann", tags="style:ink") == ["ann/ink"]
        assert ids(tags=["style:ink", "style:oil"]) == []
        assert ids(limit=1) == ["ann/oil"]

    def test_pages(self, hub: HubServer) -> None:
        hub.page = 2
        for index in range(5):
            publish(hub, f"owner/s{index}", downloads=index)
        assert len(list_styles(source="hub")) == 5
        assert len(hub.requests("GET /api/models")) == 3
        hub.log.clear()
        assert len(list_styles(source="hub", limit=2)) == 2
        assert len(hub.requests("GET /api/models")) == 1

    def test_private(self, hub: HubServer) -> None:
        publish(hub, "owner/secret")
        hub.repos["owner/secret"].private = True
        assert list_styles(source="hub") == []
        (info,) = list_styles(source="hub", token=OWNER)
        assert info.private

    @pytest.mark.parametrize("option", [{"source": "moon"}, {"sort": "beauty"}], ids=str)
    def test_bad_options(self, option: dict[str, str]) -> None:
        with pytest.raises(ConfigError, match="must be one of"):
            list_styles(**option)


class TestHere:
    def test_bundled(self, hub: HubServer) -> None:
        styles = list_styles(source="bundled")
        assert [info.id for info in styles] == bundled_styles()
        assert all(info.license and info.description and info.size for info in styles)
        for info in styles:
            assert info.thumbnail is not None
            assert Path(info.thumbnail).stat().st_size <= 15_000
            assert Image.open(info.thumbnail).size == (256, 256)
        assert not hub.log
        assert list_styles("no such word", source="bundled") == []
        assert list_styles(author="owner", source="bundled") == []

    def test_every_evaluation_of_the_bundled(self) -> None:
        styles, counts = list_styles(source="bundled"), []
        for info in styles:
            assert info.path is not None
            facts = read_facts(info.path)
            assert facts is not None
            sets = dict.fromkeys(metric.dataset for metric in info.metrics)
            assert list(sets) == [found.dataset for found in facts.measurements]
            counts.append(len(sets))
            for found in facts.measurements:
                expected = [(m.type, m.value, m.interval) for m in found.metrics]
                told = [m for m in info.metrics if m.dataset == found.dataset]
                assert [(m.type, m.value, m.interval) for m in told] == expected
        assert max(counts) >= 2

    def test_cached(self, hub: HubServer, style_files: Files) -> None:
        hub.add("owner/ink", style_files, downloads=7)
        folder = fetch_style("owner/ink", {})
        hub.log.clear()
        (info,) = list_styles(source="cached")
        assert not hub.log
        assert (info.id, info.source, info.path) == ("owner/ink", "cached", folder)
        assert info.revision == hub.repos["owner/ink"].refs["main"]
        assert info.description == "Black ink on rough paper."
        assert (info.license, info.downloads) == ("cc-by-4.0", None)
        merged = [info for info in list_styles() if info.id == "owner/ink"]
        assert [(i.source, i.downloads) for i in merged] == [("cached", 8)]
        order = [info.source for info in list_styles()]
        assert order == ["bundled"] * len(bundled_styles()) + ["cached"]

    def test_other_models_in_the_cache(self, hub: HubServer, tmp_path: Path) -> None:
        other = tmp_path / "cache" / "models--some--bert"
        (other / "snapshots" / "abc").mkdir(parents=True)
        (other / "refs").mkdir()
        (other / "refs" / "main").write_text("abc")
        (other / "snapshots" / "abc" / "config.json").write_text('{"model_type": "bert"}')
        assert list_styles(source="cached") == []


class TestWithoutHub:
    def check(self, reason: str) -> None:
        with pytest.warns(HubUnavailableWarning, match=f"Only bundled and cached.*{reason}"):
            styles = list_styles()
        assert {info.source for info in styles} == {"bundled", "cached"}
        with pytest.raises(HubError, match="Cannot list the styles on the Hub"):
            list_styles(source="hub")

    @pytest.fixture(autouse=True)
    def _cached(self, hub: HubServer, style_files: Files) -> None:
        hub.add("owner/ink", style_files)
        fetch_style("owner/ink", {})

    def test_offline(self, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        self.check("HF_HUB_OFFLINE is set")

    def test_down(self, hub: HubServer) -> None:
        hub.stop()
        self.check("cannot be reached")

    def test_broken(self, hub: HubServer, naps: list[float]) -> None:
        with hub.fault("GET /api/models", status=503):
            self.check("error 503")

    def test_another_server_in_between(self, hub: HubServer) -> None:
        with hub.fault("GET /api/models", spoil=True):  # no JSON any more
            self.check("does not answer as the Hub does")

    def test_rate_limit(self, hub: HubServer, naps: list[float]) -> None:
        with hub.fault("GET /api/models", status=429, headers={"Retry-After": "900"}):
            self.check("limits the rate")
            with pytest.raises(HubError, match=r"\(429\). Try again in 900 s"):
                list_styles(source="hub")
        assert not naps
        with hub.fault("GET /api/models", status=429, times=2):
            assert list_styles(source="hub")
        assert naps == [1.0, 2.0]

    @pytest.mark.parametrize("status", [401, 403])
    def test_refusal_is_no_absence(self, hub: HubServer, status: int) -> None:
        with (
            hub.fault("GET /api/models", status=status),
            pytest.raises(HubError, match=str(status)),
        ):
            list_styles()

    def test_no_warning_when_all_is_well(self, hub: HubServer) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert list_styles()


class TestStyleInfo:
    def test_places(self, hub: HubServer, style_files: Files, tmp_path: Path) -> None:
        hub.add("owner/ink", style_files)
        assert style_info("animation").source == "bundled"
        info = style_info("owner/ink")
        assert (info.source, info.path) == ("hub", None)
        assert info.size == sum(map(len, style_files.values()))
        folder = fetch_style("owner/ink", {})
        assert style_info(folder).source == "folder"
        assert style_info("owner/ink").source == "cached"
        assert style_info("owner/ink", local_files_only=True).path == folder
        hub.stop()
        assert style_info("owner/ink").path == folder

    def test_absent(self, hub: HubServer) -> None:
        with pytest.raises(StyleNotFoundError, match="no such repository"):
            style_info("owner/ink")
        with pytest.raises(StyleNotFoundError, match="was not asked"):
            style_info("owner/ink", local_files_only=True)
        hub.add("owner/text", {"config.json": "{}"})
        with pytest.raises(ModelFileError, match="holds no style"):
            style_info("owner/text")
        hub.stop()
        with pytest.raises(HubError, match="cannot be reached"):
            style_info("owner/ink")
