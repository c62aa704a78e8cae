import math

import pytest
import torch

from models.localization.propagation import PlainPropagation, PositiveSamplePropagation


def build(tau, num_features=4):
    torch.manual_seed(0)
    return PositiveSamplePropagation(num_features=num_features, tau=tau).double().eval()


def shares_above(row, tau):
    """Divide a row by its sum, cut what does not exceed tau, divide by the sum of the rest."""
    shares = [value / (sum(row) + 1e-8) for value in row]
    kept = [share if share > tau else 0.0 for share in shares]
    return shares, [share / (sum(kept) + 1e-8) for share in kept]


@pytest.mark.parametrize("tau", [0.0, 0.2, 0.3, 1.0])
def test_agrees_with_the_definition_pair_by_pair(tau):
    block = build(tau)
    visual, audio = torch.randn(3, 4).double(), torch.randn(3, 4).double()
    with torch.no_grad():
        steps = block(visual.unsqueeze(0), audio.unsqueeze(0))
        keys = [torch.relu(layer(rows)) for layer, rows in ((block.visual_key, visual), (block.audio_key, audio))]
        values = [torch.relu(layer(rows)) for layer, rows in ((block.visual_value, visual), (block.audio_value, audio))]
        similarity = [[max(0.0, (v @ a).item() / math.sqrt(4)) for a in keys[1]] for v in keys[0]]
        columns = [list(column) for column in zip(*similarity, strict=True)]
        torch.testing.assert_close(steps.pair_similarity[0], torch.tensor(similarity).double())
        for segment in range(3):
            shares, connections = shares_above(similarity[segment], tau)
            torch.testing.assert_close(steps.visual_similarity[0, segment], torch.tensor(shares).double())
            torch.testing.assert_close(steps.visual_connections[0, segment], torch.tensor(connections).double())
            gathered = visual[segment] + sum(c * value for c, value in zip(connections, values[1], strict=True))
            expected = block.layer_norm(torch.relu(block.visual_output(gathered)))
            torch.testing.assert_close(steps.visual[0, segment], expected)

            shares, connections = shares_above(columns[segment], tau)
            torch.testing.assert_close(steps.audio_similarity[0, segment], torch.tensor(shares).double())
            torch.testing.assert_close(steps.audio_connections[0, segment], torch.tensor(connections).double())
            gathered = audio[segment] + sum(c * value for c, value in zip(connections, values[0], strict=True))
            expected = block.layer_norm(torch.relu(block.audio_output(gathered)))
            torch.testing.assert_close(steps.audio[0, segment], expected)
        torch.testing.assert_close(steps.fusion, (steps.visual + steps.audio) / 2)


@torch.no_grad()
def test_the_plain_form_keeps_the_shares_as_they_are_and_projects_nothing():
    torch.manual_seed(0)
    block = PlainPropagation(num_features=4, tau=0.3).double().eval()
    visual, audio = torch.randn(2, 5, 4).double(), torch.randn(2, 5, 4).double()
    steps = block(visual, audio)
    for shares, connections in (
        (steps.visual_similarity, steps.visual_connections),
        (steps.audio_similarity, steps.audio_connections),
    ):
        assert 0 < (shares > 0.3).sum() < shares.numel()
        torch.testing.assert_close(connections, shares * (shares > 0.3))
    heard, seen = torch.relu(block.audio_value(audio)), torch.relu(block.visual_value(visual))
    torch.testing.assert_close(steps.visual, block.layer_norm(visual + steps.visual_connections @ heard))
    torch.testing.assert_close(steps.audio, block.layer_norm(audio + steps.audio_connections @ seen))
    torch.testing.assert_close(steps.fusion, (steps.visual + steps.audio) / 2)


def test_a_share_of_exactly_tau_is_cut():
    block = build(tau=0.5)
    for layer in (block.visual_key, block.audio_key):
        torch.nn.init.eye_(layer.weight)
    # Both audio segments match equally: 0.5 each, less the 1e-8 of the divisor, which is below tau as well.
    steps = block(torch.ones(1, 2, 4).double(), torch.ones(1, 2, 4).double())
    assert not steps.visual_connections.any()
    block.tau = 0.49
    assert block(torch.ones(1, 2, 4).double(), torch.ones(1, 2, 4).double()).visual_connections.all()


def test_segments_without_features_neither_give_nor_take():
    block = build(tau=0.0)
    visual, audio = torch.randn(1, 3, 4).double(), torch.randn(1, 3, 4).double()
    audio[0, 1] = 0
    steps = block(visual, audio)
    assert not steps.visual_connections[0, :, 1].any()
    assert not steps.audio_connections[0, 1].any()
    without_any = block(visual, torch.zeros(1, 3, 4).double())
    expected = block.layer_norm(torch.relu(block.visual_output(visual)))
    torch.testing.assert_close(without_any.visual, expected)


def test_no_connection_survives_a_threshold_of_one():
    block = build(tau=1.0)
    steps = block(torch.rand(2, 3, 4).double(), torch.rand(2, 3, 4).double())
    assert not steps.visual_connections.any()
    assert not steps.audio_connections.any()


def test_gradients_flow_through_the_weights_that_are_kept():
    block = build(tau=0.3)
    visual = torch.rand(1, 3, 4).double().requires_grad_()
    audio = torch.rand(1, 3, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda v, a: block(v, a).fusion, (visual, audio))


def test_dropout_acts_in_training_only():
    block = build(tau=0.0)
    features = torch.rand(1, 5, 4).double()
    torch.testing.assert_close(block(features, features).fusion, block(features, features).fusion)
    block.train()
    assert not torch.equal(block(features, features).fusion, block(features, features).fusion)


@pytest.mark.parametrize("tau", [-0.1, 1.1, math.nan])
def test_a_threshold_that_is_no_share_is_refused(tau):
    with pytest.raises(ValueError, match="tau: expected a share between 0 and 1"):
        build(tau)


@pytest.mark.parametrize(("visual", "audio"), [((2, 3, 5), (2, 3, 5)), ((2, 3, 4), (2, 4, 4)), ((3, 4), (3, 4))])
def test_inputs_that_do_not_fit_are_refused(visual, audio):
    with pytest.raises(ValueError, match="expected shape"):
        build(0.1)(torch.zeros(visual).double(), torch.zeros(audio).double())
