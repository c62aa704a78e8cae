"""VGG19 from a file to maps; its weights' layouts are tested with the extractor."""

import pytest
import torch

from pipeline.features.visual.preprocessing import preprocess_torchvision


@pytest.mark.slow
def test_a_segment_has_the_mean_map_of_its_frames(make_extractor, extract, clip):
    extractor = make_extractor(backbone="vgg19", frames_per_segment=2)
    prepared, features = extract(extractor, clip)
    assert prepared.rows.tolist() == [[0, 1], [2, 3]]
    assert features.shape == (2, 7, 7, 512)
    images = preprocess_torchvision(torch.from_numpy(prepared.inputs[:2]).float())
    with torch.inference_mode():
        expected = extractor._network(images).permute(0, 2, 3, 1).mean(0)
    torch.testing.assert_close(features[0], expected, rtol=1e-3, atol=1e-3)
