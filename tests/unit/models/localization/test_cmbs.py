import pytest
import torch

from models.localization.cmbs import CMBSFullNet, CMBSWeakNet
from models.localization.suppression import mean_of_top


def build(kind, **settings):
    torch.manual_seed(0)
    network = kind(num_categories=3, visual_channels=8, audio_features=5, num_positions=4, **settings)
    return network.double().eval()


def draw(num_segments=5):
    torch.manual_seed(1)
    return torch.rand(2, num_segments, 2, 2, 8).double(), torch.randn(2, num_segments, 5).double()


@torch.no_grad()
def test_the_category_is_judged_by_the_fusion_and_by_each_modality():
    network = build(CMBSFullNet, gamma=0.7)
    found = network(*draw())
    event_logits, of_fusion = network.heads(found.fusion)
    torch.testing.assert_close(found.event_logits, event_logits)
    torch.testing.assert_close(found.category_logits, of_fusion + 0.7 * found.class_scores)
    torch.testing.assert_close(of_fusion, network.heads.category(found.fusion.amax(dim=1)))
    assert found.gate.shape == (2, 5)
    assert found.class_scores.shape == (2, 3)


@torch.no_grad()
def test_the_settings_change_the_answers_and_not_the_weights():
    expected, inputs = build(CMBSFullNet), draw()
    for name in ("alpha", "beta", "gamma"):
        changed = build(CMBSFullNet, **{name: 0.9})
        weights = expected.state_dict()
        assert all(torch.equal(value, weights[key]) for key, value in changed.state_dict().items())
        assert not torch.isclose(changed(*inputs).category_logits, expected(*inputs).category_logits).any(), name


@pytest.mark.parametrize(("kind", "matters"), [(CMBSFullNet, True), (CMBSWeakNet, False)])
@torch.no_grad()
def test_the_order_of_the_segments_matters_to_lstms_alone(kind, matters):
    network, (visual, audio) = build(kind), draw()
    order = [2, 0, 4, 3, 1]
    forth, shuffled = network(visual, audio), network(visual[:, order], audio[:, order])
    assert torch.isclose(shuffled.category_logits, forth.category_logits).all() != matters
    assert torch.isclose(shuffled.event_logits, forth.event_logits[:, order]).all() != matters


@torch.no_grad()
def test_the_steps_of_the_weak_network_follow_one_from_the_other():
    network, (visual, audio) = build(CMBSWeakNet, alpha=0.3, gamma=0.7), draw()
    found = network(visual, audio)
    torch.testing.assert_close(found.encoded_audio, network.relations.audio_encoder(audio))
    torch.testing.assert_close(found.visual_gate, network.gates.visual(found.encoded_visual).sigmoid().squeeze(-1))
    torch.testing.assert_close(found.gate, (found.visual_gate + found.audio_gate) / 2)
    visual_kept = found.decoded_visual * (0.7 + 0.3 * found.visual_gate.unsqueeze(-1))
    audio_kept = found.decoded_audio * (0.7 + 0.3 * found.audio_gate.unsqueeze(-1))
    torch.testing.assert_close(found.visual_scores, network.scores.visual(visual_kept))
    torch.testing.assert_close(found.audio_scores, network.scores.audio(audio_kept))
    interacted = network.interaction(visual_kept, audio_kept)
    torch.testing.assert_close((found.interacted_visual, found.interacted_audio), interacted)
    torch.testing.assert_close(found.segment_scores, found.fusion @ network.segment_scores.weight.squeeze(-1).T)
    agreed = found.visual_scores.sigmoid() + found.audio_scores.sigmoid()
    torch.testing.assert_close(found.category_logits, mean_of_top(0.7 * agreed * found.segment_scores))
    weighted = found.gate.unsqueeze(-1) * found.category_logits.unsqueeze(1)
    torch.testing.assert_close(found.clip_probabilities, weighted.amax(dim=1).softmax(dim=-1))


@pytest.mark.parametrize(("background_class", "num_classes"), [(True, 4), (False, 3)])
@torch.no_grad()
def test_background_is_a_class_where_asked_for(background_class, num_classes):
    found = build(CMBSWeakNet, background_class=background_class)(*draw())
    assert found.category_logits.shape == found.clip_probabilities.shape == (2, num_classes)
    assert found.visual_scores.shape == found.segment_scores.shape == (2, 5, num_classes)
    assert build(CMBSWeakNet).segment_scores.out_channels == 4


@torch.no_grad()
def test_the_released_gate_is_above_one_half_after_a_sigmoid_and_the_intended_one_is_its_logit():
    released, intended = build(CMBSWeakNet)(*draw()), build(CMBSWeakNet, gate="intended")(*draw())
    assert torch.equal(released.event_logits, released.gate)
    assert (released.event_logits > 0).all()
    torch.testing.assert_close(intended.event_logits, torch.logit(intended.gate))
    torch.testing.assert_close(intended.clip_probabilities, released.clip_probabilities)


@pytest.mark.parametrize("bias", [-200.0, 200.0])
def test_the_logit_of_a_certain_gate_is_exact_and_still_learns(bias):
    network = build(CMBSWeakNet, gate="intended").float()
    for layer in (network.gates.visual, network.gates.audio):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, bias)
    found = network(*(tensor.float() for tensor in draw()))
    torch.testing.assert_close(found.event_logits, torch.full((2, 5), bias))
    found.event_logits.sum().backward()
    # Ten segments, of which each gate accounts for a half.
    torch.testing.assert_close(network.gates.visual.bias.grad, torch.tensor([5.0]))


@pytest.mark.parametrize("kind", [CMBSFullNet, CMBSWeakNet])
@torch.no_grad()
def test_every_dropout_is_a_setting_and_acts_in_training_only(kind):
    names, inputs = ("visual_dropout", "position_dropout", "dropout", "interaction_dropout"), draw()
    expected = build(kind)(*inputs).category_logits
    torch.testing.assert_close(build(kind, **dict.fromkeys(names, 0.0)).train()(*inputs).category_logits, expected)
    for name in names:
        network = build(kind, **(dict.fromkeys(names, 0.0) | {name: 0.5})).train()
        assert not torch.equal(network(*inputs).category_logits, network(*inputs).category_logits), name


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="gate: expected 'released' or 'intended', found 'paper'"):
        build(CMBSWeakNet, gate="paper")
