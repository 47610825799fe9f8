"""The content loss, with the network that the repository trains with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from faces import EXAMPLES
from tps_portrait import ModelFileError
from tps_portrait.training.content import ContentNetwork, content_loss
from tps_portrait.training.data import load_faces, to_float

NETWORK = Path(__file__).parents[1] / "examples/data/networks/vgg16_conv3.safetensors"


@pytest.fixture(scope="module")
def network() -> ContentNetwork:
    return ContentNetwork.from_file(NETWORK)


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return to_float(load_faces(EXAMPLES, 64, limit=4).images)


class TestContentNetwork:
    def test_shape_and_frozen(self, network: ContentNetwork, pictures: Tensor) -> None:
        assert network(pictures).shape == (4, 256, 16, 16)
        assert not any(p.requires_grad for p in network.parameters())

    def test_features_name_the_edge(self, network: ContentNetwork) -> None:
        """A trained network, not noise: an edge excites it far more than a flat area does."""
        edge = torch.full((1, 3, 64, 64), -0.5)
        edge[..., 32:] = 0.5
        response = network(edge)[0].std(0)
        flat, across = response[8, 4], response[8, 7:9].max()
        assert across > 1.3 * flat

    @pytest.mark.parametrize("content", [None, b"not safetensors"])
    def test_unreadable_file(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "network.safetensors"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ModelFileError, match="content_weight 0"):
            ContentNetwork.from_file(path)

    def test_other_weights(self, tmp_path: Path) -> None:
        from safetensors.torch import save_file

        save_file({"conv1_1.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "n.safetensors")
        with pytest.raises(ModelFileError, match=r"conv1_1\.bias"):
            ContentNetwork.from_file(tmp_path / "n.safetensors")


class TestContentLoss:
    def test_order(self, network: ContentNetwork, pictures: Tensor) -> None:
        def loss(drawn: Tensor) -> float:
            return content_loss(network, drawn, pictures, {}, {}).item()

        blurred = F.avg_pool2d(F.pad(pictures, (3,) * 4, mode="replicate"), 7, 1)
        assert loss(pictures) == 0
        assert loss(pictures) < loss(pictures * 0.9) < loss(blurred) < loss(pictures.roll(1, 0))
        assert 0.3 < loss(pictures.roll(1, 0)) < 1.5

    def test_regions_count_and_gradients_reach_the_drawing(
        self, network: ContentNetwork, pictures: Tensor
    ) -> None:
        drawn = pictures.clone().requires_grad_()
        regions = {"mouth": drawn[..., :32, :32] * 0.5}
        value = content_loss(network, drawn, pictures, regions, {"mouth": pictures[..., :32, :32]})
        value.backward()
        assert value > 0
        assert drawn.grad is not None
        assert drawn.grad[..., :32, :32].abs().sum() > 0

    def test_what_is_finer_than_the_pooling_costs_nothing(
        self, network: ContentNetwork, pictures: Tensor
    ) -> None:
        marks = torch.tensor([[0.2, -0.2], [-0.2, 0.2]]).kron(torch.ones(2, 2)).tile(16, 16)
        assert marks.shape == pictures.shape[-2:]
        costs = [
            content_loss(network, pictures + marks, pictures, {}, {}, pooling).item()
            for pooling in (2, 4)
        ]
        assert costs[0] > 0.01
        assert costs[1] < 1e-4
