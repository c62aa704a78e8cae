import pytest
import torch

from models.localization.cmran import CMRANNet
from models.localization.relation import RelationAttention


def build(**settings):
    torch.manual_seed(0)
    network = CMRANNet(num_categories=3, visual_channels=8, audio_features=5, num_positions=4, **settings)
    return network.double()


def draw(num_segments=4):
    torch.manual_seed(1)
    return torch.rand(2, num_segments, 2, 2, 8).double(), torch.randn(2, num_segments, 5).double()


@torch.no_grad()
def test_the_steps_follow_one_from_the_other():
    network, (visual, audio) = build().eval(), draw()
    found = network(visual, audio)
    assert found.attended_visual.shape == found.channel_attention.shape == (2, 4, 512)
    torch.testing.assert_close(found.encoded_visual, network.visual_encoder(found.attended_visual))
    torch.testing.assert_close(found.encoded_audio, network.audio_encoder(audio))
    torch.testing.assert_close(found.decoded_visual, network.visual_decoder(found.attended_visual, found.encoded_audio))
    torch.testing.assert_close(found.decoded_audio, network.audio_decoder(audio, found.encoded_visual))
    both = torch.cat([found.decoded_audio, found.decoded_visual], dim=1)
    torch.testing.assert_close(found.fusion, network.interaction(found.decoded_visual * found.decoded_audio, both))
    torch.testing.assert_close(found.category_logits, network.heads.category(found.fusion.amax(dim=1)))


@torch.no_grad()
def test_segments_in_another_order_get_the_same_answers_in_that_order():
    network, (visual, audio) = build().eval(), draw()
    order = [2, 0, 3, 1]
    forth, shuffled = network(visual, audio), network(visual[:, order], audio[:, order])
    torch.testing.assert_close(shuffled.fusion, forth.fusion[:, order])
    torch.testing.assert_close(shuffled.event_logits, forth.event_logits[:, order])
    torch.testing.assert_close(shuffled.category_logits, forth.category_logits)


@torch.no_grad()
def test_segments_hear_of_each_other_across_the_modalities():
    network, (visual, audio) = build().eval(), draw()
    before = network(visual, audio)
    audio[:, -1] += 1
    after = network(visual, audio)
    torch.testing.assert_close(before.attended_visual[:, :-1], after.attended_visual[:, :-1])
    assert not torch.isclose(before.decoded_visual[:, 0], after.decoded_visual[:, 0]).all()
    assert not torch.isclose(before.event_logits[:, 0], after.event_logits[:, 0]).any()


@torch.no_grad()
def test_the_heads_of_the_interaction_change_the_arithmetic_and_not_the_weights():
    four, two = build().eval(), build(interaction_heads=2).eval()
    weights = two.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in four.state_dict().items())
    found, other = four(*draw()), two(*draw())
    torch.testing.assert_close(found.decoded_audio, other.decoded_audio)
    assert not torch.isclose(found.event_logits, other.event_logits).any()


@torch.no_grad()
def test_dropout_acts_in_training_only_and_as_much_as_asked():
    inputs = draw()
    network = build()
    first, second = network(*inputs), network(*inputs)
    for name in ("attended_visual", "encoded_visual", "encoded_audio", "decoded_visual", "decoded_audio", "fusion"):
        assert not torch.equal(getattr(first, name), getattr(second, name)), name
    without_map = build(map_dropout=0.0)
    first, second = without_map(*inputs), without_map(*inputs)
    assert torch.equal(first.attended_visual, second.attended_visual)
    assert not torch.equal(first.encoded_visual, second.encoded_visual)

    relations = [module for module in build(dropout=0.3).modules() if isinstance(module, RelationAttention)]
    assert len(relations) == 7
    assert {relation.dropout.p for relation in relations} == {0.3}
    without = build(map_dropout=0.0, dropout=0.0)
    trained, evaluated = without(*inputs), without.eval()(*inputs)
    torch.testing.assert_close(trained.fusion, evaluated.fusion)


@torch.no_grad()
def test_background_may_be_a_class_of_the_clip():
    network = build(background_class=True).eval()
    found = network(*draw())
    assert found.category_logits.shape == found.clip_probabilities.shape == (2, 4)
    relevance = torch.sigmoid(found.event_logits)
    best = (relevance.unsqueeze(2) * found.category_logits.unsqueeze(1)).amax(dim=1)
    torch.testing.assert_close(found.clip_probabilities, torch.softmax(best, dim=1))


@pytest.mark.parametrize("background_class", [False, True])
def test_a_network_of_background_alone_is_refused(background_class):
    with pytest.raises(ValueError, match="num_categories: expected at least 1, found 0"):
        CMRANNet(num_categories=0, background_class=background_class)


@pytest.mark.parametrize("heads", [0, 3, -2])
def test_heads_that_cannot_share_the_features_are_refused(heads):
    with pytest.raises(ValueError, match=f"interaction_heads: expected a divisor of 256, found {heads}"):
        build(interaction_heads=heads)
