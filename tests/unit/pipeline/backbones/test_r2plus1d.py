"""R(2+1)D-18 from a file to one vector per segment."""

import pytest
import torch

from models.backbones.r2plus1d import R2Plus1D18
from pipeline.backbones.registry import BACKBONES
from pipeline.core.errors import WeightsError
from pipeline.features.visual.extractor import build_network
from pipeline.features.visual.preprocessing import KINETICS_MEAN_RGB, KINETICS_STD_RGB
from pipeline.features.visual.snippets import SnippetDecoder
from pipeline.features.weights import Weights

pytestmark = pytest.mark.slow


def test_a_segment_has_the_vector_of_one_snippet_of_its_frames(make_extractor, extract, clip):
    extractor = make_extractor(backbone="r2plus1d_18", frames_per_segment=8, sampling="time")
    prepared, features = extract(extractor, clip)
    assert (prepared.inputs.shape, prepared.rows.tolist()) == ((2, 8, 3, 112, 112), [[0], [1]])
    assert features.shape == (2, 512)
    network = R2Plus1D18().eval()
    network.init_random(19)
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (KINETICS_MEAN_RGB, KINETICS_STD_RGB))
    with torch.inference_mode():
        snippet = torch.from_numpy(prepared.inputs[:1]).float().transpose(1, 2)  # channels before frames
        expected = network((snippet / 255 - mean) / std)
    torch.testing.assert_close(features[:1], expected, rtol=1e-3, atol=1e-3)


def test_a_masked_segment_is_zero(make_extractor, extract, tmp_path, media):
    path = media.write(tmp_path / "clip.mp4", frame_rate=8, num_frames=9, audio_seconds=None)
    prepared, features = extract(make_extractor(backbone="r2plus1d_18", frames_per_segment=4, sampling="time"), path)
    assert prepared.rows.tolist() == [[0], [-1]]
    assert features[0].any()
    assert not features[1].any()


def test_frames_are_stretched_with_an_antialias(make_extractor):
    decoder = make_extractor(backbone="r2plus1d_18", frames_per_segment=8).decoder
    assert isinstance(decoder, SnippetDecoder)
    assert (decoder.frames.image_size, decoder.frames.resize) == (112, "stretch_antialiased")
    assert decoder.frames.frames_per_segment == 8


def test_published_weights_are_taken_by_their_own_names():
    network = R2Plus1D18()
    network.init_random(3)
    published = {**network.state_dict(), "fc.weight": torch.zeros(400, 512), "fc.bias": torch.zeros(400)}
    built = build_network(BACKBONES["r2plus1d_18"], Weights(published, "torch", "0" * 64), 0)
    assert all(torch.equal(tensor, published[name]) for name, tensor in built.state_dict().items())


def test_float16_on_a_cpu_agrees_with_float32():
    """Of few small frames: PyTorch has no fast convolution of this kind."""
    backbone = BACKBONES["r2plus1d_18"]
    network, snippets = (
        build_network(backbone, Weights({}, "random", "random:19"), 19).eval(),
        torch.randn(1, 2, 3, 16, 16),
    )
    with torch.inference_mode():
        exact = network.represent(snippets)
        rounded = network.half().represent(snippets.half()).float()
    assert not torch.equal(exact, rounded)
    assert torch.cosine_similarity(exact, rounded) > 0.9999


def test_weights_of_another_network_are_refused():
    with pytest.raises(WeightsError, match=r"parameter stem\.0\.weight of R2Plus1D18: expected .*, found none"):
        build_network(BACKBONES["r2plus1d_18"], Weights({}, "torch", "0" * 64), 0)
