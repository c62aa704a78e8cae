import math

import pytest
import torch

from models.localization.residual_fusion import ResidualFusion


@pytest.fixture
def fusion():
    torch.manual_seed(0)
    return ResidualFusion(num_features=3).double()


def restate(perceptron, vector):
    """Apply linear, tanh, linear to a list of numbers, sum by sum."""
    for layer, rectify in ((perceptron[0], math.tanh), (perceptron[2], float)):
        rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        vector = [rectify(sum(w * x for w, x in zip(row, vector, strict=True)) + bias) for row, bias in rows]
    return vector


@torch.no_grad()
def test_agrees_with_the_definition_number_by_number(fusion):
    visual, audio = torch.randn(2, 4, 3).double(), torch.randn(2, 4, 3).double()
    fused = fusion(visual, audio)
    for clip in range(2):
        for segment in range(4):
            seen, heard = visual[clip, segment].tolist(), audio[clip, segment].tolist()
            both = zip(restate(fusion.visual, seen), restate(fusion.audio, heard), strict=True)
            common = [(first + second) / 2 for first, second in both]
            expected = [(math.tanh(a + m) + math.tanh(v + m)) / 2 for v, a, m in zip(seen, heard, common, strict=True)]
            torch.testing.assert_close(fused[clip, segment], torch.tensor(expected, dtype=torch.float64))


@torch.no_grad()
def test_any_leading_axes_will_do(fusion):
    visual, audio = torch.randn(2, 4, 3).double(), torch.randn(2, 4, 3).double()
    torch.testing.assert_close(fusion(visual[1, 2], audio[1, 2]), fusion(visual, audio)[1, 2])


@pytest.mark.parametrize(
    ("visual", "audio", "message"),
    [((2, 4), (2, 4), "visual: expected shape"), ((2, 3), (2, 4), "audio: expected"), ((2, 3), (1, 3), "audio: exp")],
)
def test_vectors_that_do_not_fit_are_refused(fusion, visual, audio, message):
    with pytest.raises(ValueError, match=message):
        fusion(torch.zeros(visual).double(), torch.zeros(audio).double())
