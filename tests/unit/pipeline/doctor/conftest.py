"""Feature files of every kind, small, and networks of no depth in place of the real ones."""

from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.nn import functional

from models.backbones.feature_network import FeatureNetwork
from pipeline.doctor.source import FeatureFile


@pytest.fixture
def write_released(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of an HDF5 file as releases have them."""

    def write(rows: np.ndarray, *, file: str = "features.h5", name: str = "avadataset", **options: object) -> Path:
        path = tmp_path / file
        with h5py.File(path, "w") as opened:
            opened.create_dataset(name, data=rows, **options)
        return path

    return write


@pytest.fixture
def write_annotations(tmp_path: Path) -> Callable[[Sequence[str]], Path]:
    """Return a writer of ``Annotations.txt`` with a line per video id."""

    def write(video_ids: Sequence[str]) -> Path:
        path = tmp_path / "Annotations.txt"
        path.write_text("".join(f"Bark&{video_id}&good&{n}&10\n" for n, video_id in enumerate(video_ids)))
        return path

    return write


@pytest.fixture
def in_memory() -> Callable[..., FeatureFile]:
    """Return a maker of a feature file that is an array; `on_read` is told every range that is read."""

    def make(
        rows: np.ndarray,
        *,
        block_rows: int = 1,
        valid: np.ndarray | None = None,
        video_ids: tuple[str, ...] | None = None,
        on_read: Callable[[int, int], object] = lambda start, stop: None,
    ) -> FeatureFile:
        def read(start: int, stop: int) -> np.ndarray:
            on_read(start, stop)
            return rows[start:stop]

        return FeatureFile(
            Path("array"), "array", rows.shape, rows.dtype, block_rows, read, valid=valid, video_ids=video_ids
        )

    return make


class QuickVGG19(FeatureNetwork):
    """Stands for VGG19: 7 × 7 averages of the picture in every channel, scaled, shifted by the seed and rectified."""

    def init_random(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.scale = torch.randn(512, 3, generator=generator)

    def represent(self, inputs: torch.Tensor) -> torch.Tensor:
        return self(inputs).permute(0, 2, 3, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nchw,dc->ndhw", functional.adaptive_avg_pool2d(images, 7), self.scale).relu()


class QuickVGGish(torch.nn.Module):
    """Stands for VGGish: the bands of a patch at the beginning and at the end of it, scaled by the seed, rectified."""

    def init_random(self, seed: int) -> None:
        self.scale = torch.randn(128, generator=torch.Generator().manual_seed(seed))

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        ends = torch.cat([patches[:, :48].mean(1), patches[:, 48:].mean(1)], dim=1)
        return (ends * self.scale).relu()


class QuickResNet(FeatureNetwork):
    """Stands for ResNet-152: averages of the picture, scaled by the seed and rectified."""

    def __init__(self, **_: object) -> None:
        super().__init__()

    def init_random(self, seed: int) -> None:
        self.scale = torch.randn(2048, 3 * 7 * 7, generator=torch.Generator().manual_seed(seed))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (functional.adaptive_avg_pool2d(images, 7).flatten(1) @ self.scale.T).relu()


class QuickR2Plus1D(QuickResNet):
    """Stands for R(2+1)D-18: the same of a snippet, the last frame most of all."""

    def forward(self, snippets: torch.Tensor) -> torch.Tensor:
        frames = super().forward(snippets.flatten(0, 1)).unflatten(0, snippets.shape[:2])
        return (frames * torch.arange(snippets.shape[1])[:, None]).mean(1)[:, :512]


@pytest.fixture
def _quick_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.backbones.vgg19.VGG19", QuickVGG19)
    monkeypatch.setattr("models.backbones.resnet.ResNet", QuickResNet)
    monkeypatch.setattr("models.backbones.r2plus1d.R2Plus1D18", QuickR2Plus1D)
    monkeypatch.setattr("pipeline.features.audio.extractor.VGGish", QuickVGGish)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, path: Path) -> None:
        raise OSError("no network")

    monkeypatch.setattr("pipeline.features.weights._download", refuse)
