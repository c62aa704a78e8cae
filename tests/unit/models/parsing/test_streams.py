import pytest
import torch

from models.parsing.streams import NUM_FEATURES, InputStreams, VisualStreams

SHAPES = [(4,), (3, 4), (2, 3, 4)]
"""A vector, samples, a map."""


def build(visual_shape, motion_features=0):
    torch.manual_seed(0)
    return VisualStreams(visual_shape=visual_shape, motion_features=motion_features).double()


def draw(*shape):
    torch.manual_seed(1)
    return torch.randn(2, 5, *shape, dtype=torch.float64)


def restate_projection(layer, samples):
    """Project samples (K, C) one by one, and average."""
    return sum(layer.weight @ sample + layer.bias for sample in samples) / len(samples)


@pytest.mark.parametrize("visual_shape", SHAPES)
@torch.no_grad()
def test_appearance_alone_is_the_mean_projection_of_its_samples(visual_shape):
    streams, visual = build(visual_shape), draw(*visual_shape)
    found = streams(visual)
    assert found.shape == (2, 5, NUM_FEATURES)
    for clip in range(2):
        for segment in range(5):
            expected = restate_projection(streams.appearance, visual[clip, segment].reshape(-1, 4))
            torch.testing.assert_close(found[clip, segment], expected)


@pytest.mark.parametrize("visual_shape", SHAPES)
@torch.no_grad()
def test_motion_comes_behind_the_flattened_appearance_and_both_are_fused(visual_shape):
    streams, appearance, motion = build(visual_shape, 6), draw(*visual_shape), draw(6)
    found = streams(torch.cat([appearance.flatten(2), motion], dim=2))
    assert found.shape == (2, 5, NUM_FEATURES)
    seen = restate_projection(streams.appearance, appearance[1, 3].reshape(-1, 4))
    moved = streams.motion.weight @ motion[1, 3] + streams.motion.bias
    expected = streams.fusion.weight @ torch.cat([seen, moved]) + streams.fusion.bias
    torch.testing.assert_close(found[1, 3], expected)


def test_without_motion_there_are_no_layers_for_it():
    assert build((3, 4)).state_dict().keys() == {"appearance.weight", "appearance.bias"}
    assert {name.split(".")[0] for name in build((3, 4), 6).state_dict()} == {"appearance", "motion", "fusion"}


def test_a_shape_that_a_file_holds_as_a_list_will_do():
    assert build([3, 4])(draw(3, 4)).shape == (2, 5, NUM_FEATURES)


@pytest.mark.parametrize("visual_shape", [(), (1, 2, 3, 4), (0, 4), (3, 0)])
def test_a_shape_of_appearance_that_is_none_is_refused(visual_shape):
    with pytest.raises(ValueError, match=r"visual_shape: expected \(C,\), \(K, C\) or \(H, W, C\), found \("):
        build(visual_shape)


def test_a_negative_number_of_motion_features_is_refused():
    with pytest.raises(ValueError, match="motion_features: expected at least 0, found -1"):
        build((4,), -1)


@pytest.mark.parametrize(
    ("visual_shape", "motion_features", "found", "message"),
    [
        ((4,), 0, (3, 4), r"visual: expected shape \(B, T, 4\), found \(2, 5, 3, 4\)$"),
        ((3, 4), 0, (12,), r"visual: expected shape \(B, T, 3, 4\), found \(2, 5, 12\)$"),
        ((2, 3, 4), 0, (4, 2, 3), r"visual: expected shape \(B, T, 2, 3, 4\), found .*; channels come last"),
        ((3, 4), 6, (12,), r"visual: expected shape \(B, T, 18\), found .*; 12 of appearance, 6 of motion"),
        ((3, 4), 6, (3, 4), r"visual: expected shape \(B, T, 18\)"),
    ],
)
def test_features_of_another_shape_are_refused(visual_shape, motion_features, found, message):
    with pytest.raises(ValueError, match=message):
        build(visual_shape, motion_features)(draw(*found))


@torch.no_grad()
def test_both_modalities_come_projected_and_the_audio_in_one_layer():
    torch.manual_seed(0)
    streams = InputStreams(visual_shape=(3, 4), audio_features=7).double()
    visual, audio = draw(3, 4), draw(7)
    seen, heard = streams(visual, audio)
    torch.testing.assert_close(seen, streams.visual(visual))
    torch.testing.assert_close(heard, audio @ streams.audio.weight.T + streams.audio.bias)


@pytest.mark.parametrize("shape", [(2, 5, 8), (2, 4, 7), (1, 5, 7), (2, 7)])
def test_audio_that_does_not_fit_is_refused(shape):
    with pytest.raises(ValueError, match=r"audio: expected shape \(2, 5, 7\)"):
        InputStreams(visual_shape=(4,), audio_features=7).double()(draw(4), torch.zeros(shape, dtype=torch.float64))
