import math

import pytest
import torch

from models.parsing.pooling import MMILPooling


def build(num_categories=3):
    torch.manual_seed(0)
    return MMILPooling(num_features=5, num_categories=num_categories).double()


def draw(num_clips=2, num_segments=4):
    torch.manual_seed(1)
    return 3 * torch.randn(num_clips, num_segments, 2, 5, dtype=torch.float64)


def scores_of(layer, features):
    """Return the scores of a category, T rows of M, by plain arithmetic."""
    rows, bias = layer.weight.tolist(), layer.bias.tolist()
    return [
        [
            [sum(w * x for w, x in zip(row, vector, strict=True)) + b for vector in segment]
            for segment in features.tolist()
        ]
        for row, b in zip(rows, bias, strict=True)
    ]


@torch.no_grad()
def test_agrees_with_the_definition_category_by_category():
    pooling, features = build(), draw()
    found = pooling(features)
    for clip in range(2):
        judged, over_segments, over_modalities = (
            scores_of(layer, features[clip])
            for layer in (pooling.probability, pooling.segment_attention, pooling.modality_attention)
        )
        for category in range(3):
            together, of_modality = 0.0, [0.0, 0.0]
            for m in (0, 1):
                whole = sum(math.exp(segment[m]) for segment in over_segments[category])
                for t in range(4):
                    probability = 1 / (1 + math.exp(-judged[category][t][m]))
                    of_segment = math.exp(over_segments[category][t][m]) / whole
                    both = [math.exp(score) for score in over_modalities[category][t]]
                    together += of_segment * both[m] / sum(both) * probability
                    of_modality[m] += of_segment * probability
                    assert found.segment_probabilities[clip, t, m, category].item() == pytest.approx(probability)
            assert found.global_probabilities[clip, category].item() == pytest.approx(together)
            assert found.audio_probabilities[clip, category].item() == pytest.approx(of_modality[0])
            assert found.visual_probabilities[clip, category].item() == pytest.approx(of_modality[1])


@torch.no_grad()
def test_a_single_segment_is_the_whole_of_its_modality():
    pooling, features = build(1), draw(1, 1)
    found = pooling(features)
    assert found.segment_probabilities.shape == (1, 1, 2, 1)
    torch.testing.assert_close(found.audio_probabilities, found.segment_probabilities[:, 0, 0])
    torch.testing.assert_close(found.visual_probabilities, found.segment_probabilities[:, 0, 1])
    assert found.global_probabilities.shape == (1, 1)


@torch.no_grad()
def test_the_probabilities_of_a_modality_lie_between_those_of_its_segments():
    found = build()(draw(20))
    for m, pooled in enumerate((found.audio_probabilities, found.visual_probabilities)):
        of_segments = found.segment_probabilities[:, :, m]
        assert (pooled <= of_segments.amax(dim=1)).all()
        assert (pooled >= of_segments.amin(dim=1)).all()


@torch.no_grad()
def test_the_global_answer_counts_twice_what_each_modality_is_sure_of_in_another_segment():
    pooling = MMILPooling(num_features=3, num_categories=1).double()
    for layer, weight in (
        (pooling.probability, [0.0, 0.0, 1.0]),
        (pooling.segment_attention, [50.0, 0.0, 0.0]),
        (pooling.modality_attention, [0.0, 50.0, 0.0]),
    ):
        layer.weight.copy_(torch.tensor([weight]))
        layer.bias.zero_()
    # The sound attends to the first segment, where the modality of sound counts, and the picture to the second.
    attended, other, score = [1.0, 1.0], [0.0, 0.0], math.log(3)
    segments = [[[*attended, score], [*other, score]], [[*other, score], [*attended, score]]]
    found = pooling(torch.tensor([segments], dtype=torch.float64))
    torch.testing.assert_close(found.audio_probabilities.item(), 0.75)
    torch.testing.assert_close(found.visual_probabilities.item(), 0.75)
    torch.testing.assert_close(found.global_probabilities.item(), 1.5)


def test_no_category_is_refused():
    with pytest.raises(ValueError, match="num_categories: expected at least 1, found 0"):
        build(0)
