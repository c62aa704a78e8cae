import pytest
import torch

from models.localization.position_attention import CoGuidedAttention, PlainAttention, PositionAttention

SIZES = {"visual_channels": 5, "audio_features": 4, "num_positions": 6, "beta": 0.4}


def build(kind, **settings):
    torch.manual_seed(0)
    attention = kind(**SIZES, **({"dropout": 0.2, "position_dropout": 0.3} | settings))
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return attention.double().eval()


@pytest.fixture
def clips():
    torch.manual_seed(1)
    return torch.rand(2, 3, 2, 3, 5, dtype=torch.float64), torch.randn(2, 3, 4, dtype=torch.float64)


def restate_gathering(attention, asking, answering):
    """Gather for each row of one list from another, one by one."""
    rows = []
    for row in asking:
        scores = torch.stack([attention.query(row) @ attention.key(other) for other in answering])
        shares = torch.exp(scores) / torch.exp(scores).sum()
        rows.append(sum(share * attention.value(other) for share, other in zip(shares, answering, strict=True)))
    return torch.stack(rows)


def restate_relation(attention, positions, projected):
    return [
        attention.layer_norm(x + gathered)
        for x, gathered in zip(projected, restate_gathering(positions, projected, projected), strict=True)
    ]


def restate_sum(positions, scores):
    shares = torch.exp(torch.tanh(torch.stack(scores)))
    shares = shares / shares.sum()
    return sum(share * position for share, position in zip(shares, positions, strict=True)), shares


def restate(attention, maps, audio):
    """Attend to one segment, position by position: maps (P, C), audio (D,)."""
    guided = attention.guided
    projected = [torch.relu(guided.visual_projection(position)) for position in maps]
    related = restate_relation(attention, attention.positions, projected)
    mean = torch.relu(attention.summary_mean(sum(related) / len(related)))
    own = [attention.summary_score(torch.relu(attention.summary_visual(z)) * mean)[0] for z in related]
    summary, summary_weights = restate_sum(related, own)
    match = sum(torch.relu(guided.audio_channel(audio)) * torch.relu(guided.visual_channel(z)) for z in related)
    share = torch.sigmoid(guided.channel_score(torch.relu(guided.bottleneck(match / len(related)))))
    raised = [x * (1 + share) for x in projected]
    heard = torch.relu(guided.audio_spatial(audio))
    scores = [guided.spatial_score(torch.relu(guided.visual_spatial(y)) * heard)[0] for y in raised]
    attended, weights = restate_sum(raised, scores)
    return attended + 0.4 * torch.sigmoid(summary) * attended, weights, summary_weights


@torch.no_grad()
def test_agrees_with_the_definition_position_by_position(clips):
    attention, (visual, audio) = build(PositionAttention), clips
    found = attention(visual, audio)
    for clip, segment in [(0, 0), (1, 2)]:
        expected, weights, summary_weights = restate(
            attention, visual[clip, segment].flatten(0, 1), audio[clip, segment]
        )
        torch.testing.assert_close(found.visual[clip, segment], expected)
        torch.testing.assert_close(found.attention[clip, segment], weights)
        torch.testing.assert_close(found.summary_attention[clip, segment], summary_weights)
    torch.testing.assert_close(found.position_attention.sum(dim=-1), torch.ones(2, 3, 6).double())


@torch.no_grad()
def test_the_audio_is_guided_as_defined_segment_by_segment(clips):
    attention, (visual, audio) = build(CoGuidedAttention, psi=0.3), clips
    seen, heard = attention(visual, audio)
    torch.testing.assert_close(seen.visual, attention.visual(visual, audio).visual)
    gathered = restate_gathering(attention.segments, audio[1], audio[1])
    related_audio = [attention.layer_norm(a + more) for a, more in zip(audio[1], gathered, strict=True)]
    means = []
    for maps in visual[1]:
        projected = [torch.relu(attention.visual.guided.visual_projection(row)) for row in maps.flatten(0, 1)]
        # The second attention has weights of its own, and the norm of the first.
        means.append(sum(restate_relation(attention.visual, attention.positions, projected)) / 6)
    guidance = restate_gathering(attention.guidance, means, related_audio)
    torch.testing.assert_close(heard.audio[1], audio[1] + 0.3 * torch.sigmoid(guidance) * audio[1])
    for weights in (heard.segment_attention, heard.guidance_attention):
        assert weights.shape == (2, 3, 3)
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 3).double())


@torch.no_grad()
def test_scores_are_not_scaled_by_the_size_of_the_keys():
    attention = PlainAttention(query_features=2, memory_features=2, key_features=2)
    for layer in (attention.query, attention.key, attention.value):
        layer.weight.copy_(torch.eye(2))
        layer.bias.zero_()
    _, weights = attention(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    torch.testing.assert_close(weights, torch.softmax(torch.tensor([[1.0, 0.0]]), dim=-1))


@torch.no_grad()
def test_equal_positions_share_all_weights_equally():
    visual = torch.rand(1, 1, 1, 1, 5, dtype=torch.float64).expand(1, 1, 2, 3, 5)
    found = build(PositionAttention)(visual, torch.randn(1, 1, 4, dtype=torch.float64))
    for weights in (found.attention, found.summary_attention, found.position_attention):
        torch.testing.assert_close(weights, torch.full_like(weights, 1 / 6))
