"""Styles from the Hub: what is asked and fetched, and everything that can go wrong with it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from hub_fixtures import OWNER, READER, hub, naps, style_files
from hub_server import HubServer
from tps_portrait import (
    HubError,
    ModelFileError,
    StyleGenerator,
    StyleNotFoundError,
    TPSAligner,
    TPSPortraitError,
    TPSPortraitPipeline,
)
from tps_portrait.hub.pins import split_card

WEIGHTS = "generator/model.safetensors"
Files = dict[str, bytes]


def load(**options: object) -> TPSPortraitPipeline:
    return TPSPortraitPipeline.from_pretrained("owner/ink", **options)


def cached(tmp_path: Path) -> list[str]:
    """Names of the finished files in the cache."""
    return [p.name for p in (tmp_path / "cache").rglob("snapshots/*/*") if p.is_file()]


class TestLoading:
    def test_requests(self, hub: HubServer, style_files: Files, tmp_path: Path) -> None:
        more = {"samples/x.jpg": b"x", "landmarks/model.safetensors": b"x", "notes.txt": b"x"}
        card = style_files["README.md"].decode()
        hub.add("owner/ink", {**style_files, **more, "README.md": card})
        pipe = load()
        assert (pipe.style, pipe.name_or_path) == ("ink", "owner/ink")
        assert pipe.card == card
        fetched = {
            line.rpartition("/resolve/")[2].partition("/")[2]
            for line in hub.requests("^GET .*resolve")
        }
        assert fetched == set(style_files)
        assert hub.repos["owner/ink"].downloads == 1
        hub.log.clear()
        load()
        assert hub.requests(" ") == [
            "GET /api/models/owner/ink?blobs=true",
            "GET /api/models/owner/ink/revision/main",
        ]

    def test_options(self, hub: HubServer, style_files: Files, tmp_path: Path) -> None:
        repo = hub.add("owner/ink", style_files)
        first = repo.refs["main"]
        config = style_files["config.json"].replace(b'"ink"', b'"second"')
        repo.commit(
            {k: v for k, v in style_files.items() if k != "README.md"} | {"config.json": config}
        )
        assert load(cache_dir=tmp_path / "other").style == "second"
        assert load(revision=first).style == "ink"
        assert not (tmp_path / "cache" / "models--owner--ink" / "refs" / "main").exists()
        with pytest.raises(StyleNotFoundError, match="no revision 'nine'"):
            load(revision="nine")
        hub.log.clear()
        assert load(revision=first, local_files_only=True).style == "ink"
        with pytest.raises(StyleNotFoundError, match="not in the local cache"):
            load(local_files_only=True)
        assert not hub.log

    def test_variant(self, hub: HubServer, tmp_path: Path) -> None:
        from conftest import tiny_pipeline

        for variant in (None, "fp16"):
            tiny_pipeline(3).save_pretrained(tmp_path / "ink", variant=variant)
        files = {
            p.relative_to(tmp_path / "ink").as_posix(): p.read_bytes()
            for p in (tmp_path / "ink").rglob("*")
            if p.is_file()
        }
        hub.add("owner/ink", files)
        pipe = load(variant="fp16")
        weights = {line.rpartition("/")[2] for line in hub.requests("^GET .*safetensors")}
        assert weights == {"model.fp16.safetensors"}
        half = tiny_pipeline(3).generator.half().float().state_dict()
        assert all(torch.equal(v, half[k]) for k, v in pipe.generator.state_dict().items())

    def test_parts_alone(self, hub: HubServer, style_files: Files, tmp_path: Path) -> None:
        hub.add("owner/ink", style_files)
        pipe = load()
        for kind, part in ((StyleGenerator, "generator"), (TPSAligner, "aligner")):
            alone = kind.from_pretrained("owner/ink", subfolder=part, cache_dir=tmp_path / "alone")
            expected = getattr(pipe, part).state_dict()
            assert all(torch.equal(v, expected[k]) for k, v in alone.state_dict().items())


class TestRefused:
    @pytest.mark.parametrize(
        ("path", "reason"),
        [
            ("generator/pytorch_model.bin", r"pytorch_model\.bin, a format that can run code"),
            ("old.ckpt", "safetensors"),
            ("pipeline.py", r"holds code \(pipeline\.py\)"),
            ("generator/modeling.py", "never run"),
        ],
    )
    def test_pickles_and_code(
        self,
        hub: HubServer,
        style_files: Files,
        tmp_path: Path,
        path: str,
        reason: str,
    ) -> None:
        hub.add("owner/ink", {**style_files, path: b"x"})
        with pytest.raises(ModelFileError, match=reason) as caught:
            load()
        assert "owner/ink is refused" in str(caught.value)
        assert not cached(tmp_path)

    def test_auto_map(self, hub: HubServer, style_files: Files) -> None:
        files = {k: v for k, v in style_files.items() if k != "README.md"}
        config = {
            **json.loads(files["generator/config.json"]),
            "auto_map": {"AutoModel": "evil--x"},
        }
        hub.add("owner/ink", {**files, "generator/config.json": json.dumps(config)})
        with pytest.raises(ModelFileError, match=r"generator/config\.json asks for code"):
            load()

    def test_no_style(self, hub: HubServer, style_files: Files) -> None:
        hub.add("owner/ink", {"config.json": "{}"})
        with pytest.raises(ModelFileError, match=r"holds no style: there is no model_index\.json"):
            load()
        hub.add("owner/ink", {k: v for k, v in style_files.items() if "safetensors" not in k})
        with pytest.raises(ModelFileError, match="lacks safetensors weights"):
            load()


class TestHashes:
    def test_spoilt_on_the_way(self, hub: HubServer, style_files: Files) -> None:
        hub.add("owner/ink", style_files)
        with (
            hub.fault(f"^GET .*{WEIGHTS}", spoil=True),
            pytest.raises(ModelFileError, match=rf"{WEIGHTS} does not match the hash in the card"),
        ):
            load()
        load()  # the bad file was removed, so this downloads it again
        assert len(hub.requests(f"^GET .*{WEIGHTS}")) == 2

    def test_spoilt_in_the_cache(self, hub: HubServer, style_files: Files, tmp_path: Path) -> None:
        hub.add("owner/ink", style_files)
        load()
        weights = next((tmp_path / "cache").rglob(WEIGHTS)).resolve()
        weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
        for _ in range(2):
            with pytest.raises(
                TPSPortraitError, match=r"does not match|only partly in the local cache"
            ):
                load(local_files_only=True)
        load()

    def test_changed_after_publication(self, hub: HubServer, style_files: Files) -> None:
        config = style_files["image_processor/preprocessor_config.json"].replace(b"128", b"160")
        hub.add("owner/ink", {**style_files, "image_processor/preprocessor_config.json": config})
        with pytest.raises(ModelFileError, match="ask the author"):
            load()
        hub.add("owner/ink", {**style_files, "aligner/extra.json": "{}"})
        with pytest.raises(ModelFileError, match=r"aligner/extra\.json is not among the files"):
            load()

    def test_damaged_card(self, hub: HubServer, style_files: Files) -> None:
        text = style_files["README.md"]
        damaged = re.sub(rb"size: \d+", b"size: large", text)
        hub.add("owner/ink", {**style_files, "README.md": damaged})
        with pytest.raises(ModelFileError, match="does not match the hash in the card"):
            load()
        for header in ("a: 2026-99-99", "a: " + "[" * 5000):
            assert split_card(f"---\n{header}\n---\nInk.") == ({}, "Ink.")

    def test_card_without_hashes(self, hub: HubServer, style_files: Files) -> None:
        hub.add("owner/ink", {**style_files, "README.md": "# ink"})
        with (
            hub.fault(f"^GET .*{WEIGHTS}", spoil=True),
            pytest.raises(ModelFileError, match="does not match"),
        ):
            load()  # the Hub itself states the hashes of large files
        load()

    def test_saving_drops_them(self, hub: HubServer, style_files: Files, tmp_path: Path) -> None:
        hub.add("owner/ink", style_files)
        load(dtype=torch.float16).save_pretrained(tmp_path / "half")
        text = (tmp_path / "half" / "README.md").read_text()
        assert "sha256" not in text
        assert "It bleeds." in text


class TestFaults:
    def test_nobody_may_know_of_private_styles(self, hub: HubServer, style_files: Files) -> None:
        hub.add("owner/ink", style_files, private=True)
        for token in (None, READER):
            with pytest.raises(StyleNotFoundError, match="no such repository, or it is private"):
                load(token=token)
        assert load(token=OWNER).style == "ink"

    def test_missing(self, hub: HubServer) -> None:
        with pytest.raises(StyleNotFoundError, match="There is no style 'owner/ink'") as caught:
            load(token=READER)
        assert "Bundled styles: " in str(caught.value)
        asked = len(hub.log)
        for repo_id in ("owner/..", "../owner", "owner/-ink"):
            with pytest.raises(StyleNotFoundError, match="There is no style"):
                TPSPortraitPipeline.from_pretrained(repo_id)
        assert len(hub.log) == asked
        with pytest.raises(StyleNotFoundError, match="Cannot have -- or"):
            TPSPortraitPipeline.from_pretrained("owner/i..nk", local_files_only=True)

    def test_bad_token(self, hub: HubServer, style_files: Files) -> None:
        hub.add("owner/ink", style_files)
        with pytest.raises(HubError, match=r"does not accept the token.*401.*hf auth login"):
            load(token="hf_wrong")

    def test_gated(self, hub: HubServer, style_files: Files) -> None:
        hub.add("owner/ink", style_files, gated=True)
        with pytest.raises(HubError, match=r"owner/ink is gated\. Accept its conditions on http"):
            load(token=READER)

    def test_forbidden(self, hub: HubServer, style_files: Files) -> None:
        hub.add("owner/ink", style_files)
        with (
            hub.fault("^GET /api", status=403),
            pytest.raises(HubError, match=r"not allow it \(403\).*injected"),
        ):
            load()

    def test_rate_limit(self, hub: HubServer, style_files: Files, naps: list[float]) -> None:
        hub.add("owner/ink", style_files)
        with hub.fault("^GET /api", status=429, headers={"Retry-After": "3"}, times=2):
            load()
        assert naps[:2] == [4.0, 4.0]
        limited = {
            "ratelimit": '"api";r=0;t=55',
            "ratelimit-policy": '"fixed window";"api";q=5;w=300',
        }
        naps.clear()
        with hub.fault("^GET /api", status=429, headers=limited):
            assert load().style == "ink"  # from the cache, without the wait
            with pytest.raises(StyleNotFoundError, match="limits the rate"):
                TPSPortraitPipeline.from_pretrained("owner/other")
        assert not naps

    def test_broken_hub(self, hub: HubServer, style_files: Files, naps: list[float]) -> None:
        hub.add("owner/ink", style_files)
        with hub.fault("^GET /api", status=500, times=1):
            load()
        with hub.fault("^GET /api", status=500):
            assert load().style == "ink"
            with pytest.raises(StyleNotFoundError, match="answered with error 500"):
                TPSPortraitPipeline.from_pretrained("owner/other")

    def test_hub_down(self, hub: HubServer, style_files: Files, tmp_path: Path) -> None:
        hub.add("owner/ink", style_files)
        expected = load().generator.state_dict()
        hub.stop()
        again = load().generator.state_dict()
        assert all(torch.equal(value, expected[key]) for key, value in again.items())
        with pytest.raises(StyleNotFoundError, match=r"in the local cache, and http.*cannot be"):
            load(cache_dir=tmp_path / "empty")

    def test_offline(
        self, hub: HubServer, style_files: Files, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.add("owner/ink", style_files)
        load()
        hub.log.clear()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert load().style == "ink"
        assert not hub.log

    def test_connection_breaks_and_comes_back(
        self,
        hub: HubServer,
        style_files: Files,
        naps: list[float],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # huggingface_hub keeps what arrived in whole chunks, of 10 MB; our file is smaller.
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4096)
        hub.add("owner/ink", style_files)
        with hub.fault(f"^GET .*{WEIGHTS}", cut_after=10_000, times=1):
            load()
        assert hub.ranges == ["bytes=8192-"]

    def test_server_dies_in_the_middle(
        self,
        hub: HubServer,
        style_files: Files,
        naps: list[float],
        tmp_path: Path,
    ) -> None:
        hub.add("owner/ink", style_files)
        with (
            hub.fault(f"^GET .*{WEIGHTS}", cut_after=10_000, times=1, then=hub.stop),
            pytest.raises(HubError, match="run this again to go on"),
        ):
            load()
        assert "model.safetensors" not in [
            p.name for p in (tmp_path / "cache").rglob("generator/*")
        ]
        for options in ({}, {"local_files_only": True}):
            with pytest.raises(StyleNotFoundError, match="only partly in the local cache"):
                load(**options)
        have = set(cached(tmp_path))
        hub.start()
        hub.log.clear()
        assert load().style == "ink"
        assert len(hub.requests("^GET .*resolve")) + len(have) <= len(style_files)
        assert len(hub.requests(f"^GET .*{WEIGHTS}")) == 1
