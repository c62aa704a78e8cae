from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.features.contract import combine_samples
from pipeline.features.decoding import Prepared
from pipeline.features.visual.extractor import VisualExtractor
from pipeline.params.schema import VisualParams, load_params

PARAMS = load_params(Path(__file__).resolve().parents[4] / "data" / "synthetic" / "preset.yaml")


@pytest.fixture(scope="session")
def make_extractor() -> Callable[..., VisualExtractor]:
    """Return a maker of extractors with random weights, for a clip of two segments on the CPU."""

    def make(**changes: object) -> VisualExtractor:
        visual = VisualParams.model_validate({**PARAMS.visual.model_dump(), **changes})
        return VisualExtractor(visual, PARAMS.dataset.model_copy(update={"num_segments": 2}), torch.device("cpu"))

    return make


@pytest.fixture
def clip(tmp_path: Path, media: SimpleNamespace) -> Path:
    """Return a video of two seconds, eight frames each."""
    return media.write(tmp_path / "clip.mp4", frame_rate=8, num_frames=16, audio_seconds=None)


@pytest.fixture(scope="session")
def extract() -> Callable[[VisualExtractor, Path], tuple[Prepared, torch.Tensor]]:
    """Return a function from a file to what was decoded and the features (T, ...), checked for what is always true."""

    def run(extractor: VisualExtractor, path: Path) -> tuple[Prepared, torch.Tensor]:
        prepared = extractor.decoder(path)
        assert prepared.inputs.dtype == np.uint8
        outputs = extractor.network(torch.from_numpy(prepared.inputs))
        assert (outputs.dtype, len(outputs)) == (torch.float32, len(prepared.inputs))
        features = combine_samples(outputs, prepared.rows, extractor.combine)
        assert tuple(features.shape[1:]) == extractor.feature_shape
        assert 0 < features.max() < 1000  # float16 ends at 65504
        return prepared, features

    return run
