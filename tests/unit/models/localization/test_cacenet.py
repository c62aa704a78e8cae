import pytest
import torch

from models.localization.cacenet import CACENet


def build(**settings):
    torch.manual_seed(0)
    network = CACENet(num_categories=3, visual_channels=8, audio_features=5, num_positions=4, **settings)
    return network.double().eval()


def draw():
    torch.manual_seed(1)
    return torch.rand(2, 5, 2, 2, 8).double(), torch.randn(2, 5, 5).double()


@torch.no_grad()
def test_contrasted_features_enter_the_event_logits_alone_and_only_if_guided():
    network = build(contrast_scale=0.8)
    guided = network(*draw())
    contrasted = torch.relu(network.contrast(guided.fusion))
    torch.testing.assert_close(
        guided.event_logits, network.heads.relevance(guided.fusion + 0.8 * contrasted).squeeze(-1)
    )
    network.set_guided(False)
    found = network(*draw())
    torch.testing.assert_close(found.event_logits, network.heads.relevance(found.fusion).squeeze(-1))
    torch.testing.assert_close(found.category_logits, guided.category_logits)
    of_fusion = network.heads.category(found.fusion.amax(dim=1))
    torch.testing.assert_close(found.category_logits, of_fusion + network.gamma * found.class_scores)
    network.set_guided(True)
    assert torch.equal(network(*draw()).event_logits, guided.event_logits)


def test_contrasted_features_learn_nothing_from_the_event_logits_unless_guided():
    network = build()
    network.set_guided(False)
    network(*draw()).event_logits.sum().backward()
    assert not network.contrast.weight.grad.any()


def test_the_switch_is_saved_with_the_weights_and_keeps_its_type():
    network = build()
    assert network.guided.item() is True
    network.set_guided(False)
    other = build()
    other.load_state_dict(network.state_dict())
    assert other.guided.item() is False
    assert other.float().guided.dtype == torch.bool


@torch.no_grad()
def test_query_and_key_are_unit_vectors_of_the_fusion_without_and_with_noise():
    network, noise = build(), torch.randn(2, 5, 256).double()
    found = network(*draw(), noise=noise)
    for vectors, fusion in ((found.query, found.fusion), (found.key, found.fusion + 0.1 * noise)):
        contrasted = torch.relu(network.contrast(fusion))
        torch.testing.assert_close(vectors, contrasted / contrasted.norm(dim=-1, keepdim=True))


@torch.no_grad()
def test_noise_is_drawn_while_training_only_and_changes_the_key_alone():
    settings = dict.fromkeys(("visual_dropout", "position_dropout", "dropout", "interaction_dropout"), 0.0)
    network = build(**settings)
    calm = network(*draw())
    assert torch.equal(calm.query, calm.key)
    network.train()
    first, second = network(*draw()), network(*draw(), noise=torch.zeros(2, 5, 256).double())
    assert not torch.isclose(first.key, calm.key).all()
    torch.testing.assert_close(second.key, calm.key)
    torch.testing.assert_close(first.event_logits, calm.event_logits)
    torch.testing.assert_close(first.category_logits, calm.category_logits)


def test_noise_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"noise: expected shape \(2, 5, 256\), found \(5, 2, 256\)"):
        build()(*draw(), noise=torch.zeros(5, 2, 256))
