import math

import pytest
import torch

from models.localization.attention import AudioGuidedAttention, ChannelSpatialAttention


@pytest.fixture
def attention():
    torch.manual_seed(0)
    return AudioGuidedAttention(visual_channels=5, audio_features=4, num_positions=6, hidden_features=7).double()


def restate(attention, visual, audio):
    """Attend to one segment, position by position: visual (P, C), audio (D,)."""
    heard = torch.relu(attention.audio_projection(audio))
    scores = []
    for position in range(len(visual)):
        seen = torch.relu(attention.visual_projection(visual[position]))
        score = 0.0
        for unit in range(attention.num_positions):
            match = seen @ attention.visual_hidden.weight[unit]
            loudness = heard @ attention.audio_hidden.weight[position]
            score += attention.score.weight[0, unit].item() * math.tanh(match + loudness)
        scores.append(score)
    weights = [math.exp(score) / sum(map(math.exp, scores)) for score in scores]
    return sum(weight * row for weight, row in zip(weights, visual, strict=True)), torch.tensor(weights)


def test_agrees_with_the_definition_position_by_position(attention):
    visual = torch.rand(2, 3, 2, 3, 5, dtype=torch.float64)
    audio = torch.randn(2, 3, 4, dtype=torch.float64)
    with torch.no_grad():
        attended, weights = attention(visual, audio)
        for clip in range(2):
            for segment in range(3):
                rows = torch.stack([visual[clip, segment, row, column] for row in range(2) for column in range(3)])
                expected, expected_weights = restate(attention, rows, audio[clip, segment])
                torch.testing.assert_close(attended[clip, segment], expected)
                torch.testing.assert_close(weights[clip, segment], expected_weights, check_dtype=False)


@pytest.mark.parametrize("rows_at_once", [1, 7, 36, 1000])
def test_positions_projected_in_parts_give_the_same_values_and_gradients(attention, rows_at_once):
    visual = torch.rand(2, 3, 2, 3, 5, dtype=torch.float64)
    audio = torch.randn(2, 3, 4, dtype=torch.float64)

    def attend() -> tuple[torch.Tensor, list[torch.Tensor]]:
        attention.zero_grad()
        attended, _ = attention(visual, audio)
        attended.square().sum().backward()
        return attended.detach(), [parameter.grad for parameter in attention.parameters()]

    whole = attend()
    attention.rows_at_once = rows_at_once
    torch.testing.assert_close(attend(), whole)


def test_equal_positions_share_the_attention_up_to_the_audio(attention):
    visual = torch.rand(1, 1, 1, 1, 5, dtype=torch.float64).expand(1, 1, 2, 3, 5)
    attended, weights = attention(visual, torch.randn(1, 1, 4, dtype=torch.float64))
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(1, 1, dtype=torch.float64))
    torch.testing.assert_close(attended[0, 0], visual[0, 0, 0, 0])


def test_the_sum_is_over_the_maps_as_given(attention):
    attended, _ = attention(-torch.ones(1, 1, 2, 3, 5).double(), torch.zeros(1, 1, 4).double())
    torch.testing.assert_close(attended, -torch.ones(1, 1, 5).double())


@pytest.fixture
def channel_spatial():
    torch.manual_seed(0)
    attention = ChannelSpatialAttention(visual_channels=5, audio_features=4, num_positions=6, hidden_features=8)
    return attention.double()


def restate_channel_spatial(attention, visual, audio):
    """Attend to one segment, position by position: visual (P, C), audio (D,)."""
    projected = [torch.relu(attention.visual_projection(row)) for row in visual]
    heard = torch.relu(attention.audio_channel(audio))
    match = sum(heard * torch.relu(attention.visual_channel(row)) for row in projected) / len(projected)
    channels = torch.sigmoid(attention.channel_score(torch.relu(attention.bottleneck(match))))
    raised = [row + row * channels for row in projected]
    heard = torch.relu(attention.audio_spatial(audio))
    scores = [
        math.tanh(attention.spatial_score(torch.relu(attention.visual_spatial(row)) * heard).item()) for row in raised
    ]
    weights = [math.exp(score) / sum(map(math.exp, scores)) for score in scores]
    return sum(weight * row for weight, row in zip(weights, raised, strict=True)), torch.tensor(weights), channels


def test_channel_and_spatial_attention_agree_with_the_definition_position_by_position(channel_spatial):
    visual = torch.rand(2, 3, 2, 3, 5, dtype=torch.float64)
    audio = torch.randn(2, 3, 4, dtype=torch.float64)
    with torch.no_grad():
        attended, weights, channels = channel_spatial(visual, audio)
        for clip in range(2):
            for segment in range(3):
                rows = torch.stack([visual[clip, segment, row, column] for row in range(2) for column in range(3)])
                expected = restate_channel_spatial(channel_spatial, rows, audio[clip, segment])
                torch.testing.assert_close(attended[clip, segment], expected[0])
                torch.testing.assert_close(weights[clip, segment], expected[1], check_dtype=False)
                torch.testing.assert_close(channels[clip, segment], expected[2])


def test_moving_the_positions_about_moves_only_their_weights(channel_spatial):
    visual = torch.rand(1, 1, 2, 3, 5, dtype=torch.float64)
    audio = torch.randn(1, 1, 4, dtype=torch.float64)
    attended, weights, _ = channel_spatial(visual, audio)
    mirrored, mirrored_weights, _ = channel_spatial(visual.flip(3), audio)
    torch.testing.assert_close(mirrored, attended)
    torch.testing.assert_close(mirrored_weights.view(2, 3), weights.view(2, 3).flip(1))


@pytest.mark.parametrize("kind", ["attention", "channel_spatial"])
@pytest.mark.parametrize(
    ("visual_shape", "audio_shape", "message"),
    [
        ((2, 3, 5, 2, 3), (2, 3, 4), "channels come last"),
        ((2, 3, 6, 5), (2, 3, 4), "visual: expected shape"),
        ((2, 3, 3, 3, 5), (2, 3, 4), "expected maps of 6 positions, found 3 x 3"),
        ((2, 3, 2, 3, 5), (2, 4, 4), "audio: expected shape"),
        ((2, 3, 2, 3, 5), (2, 3, 5), "audio: expected shape"),
        ((2, 3, 2, 3, 5), (1, 3, 4), "audio: expected shape"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(request, kind, visual_shape, audio_shape, message):
    attention = request.getfixturevalue(kind)
    with pytest.raises(ValueError, match=message):
        attention(torch.zeros(visual_shape).double(), torch.zeros(audio_shape).double())
