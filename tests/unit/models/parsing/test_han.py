import math

import pytest
import torch

from models.parsing.han import HANNet, HybridAttention, HybridLayer

NUM_FEATURES, NUM_HEADS = 6, 2


def build(kind, **settings):
    torch.manual_seed(0)
    module = kind(num_features=NUM_FEATURES, num_heads=NUM_HEADS, dropout=0.5, **settings).double().eval()
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):  # attention starts with biases of zero, which would hide them
            torch.nn.init.normal_(parameter)
    return module


def build_network():
    torch.manual_seed(0)
    return HANNet(num_categories=3, visual_shape=(2, 4), motion_features=3, audio_features=5).double().eval()


def draw(*shape):
    torch.manual_seed(sum(shape))
    return torch.randn(*shape, dtype=torch.float64)


def restate_attention(attention, query, memory):
    """Gather for queries (T, D) from a memory (M, D), head by head."""
    weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    questions, keys, values = (
        rows @ weight.T + bias for rows, weight, bias in zip((query, memory, memory), weights, biases, strict=True)
    )
    size = NUM_FEATURES // NUM_HEADS
    gathered = []
    for part in (slice(head * size, (head + 1) * size) for head in range(NUM_HEADS)):
        scores = torch.softmax(questions[:, part] @ keys[:, part].T / math.sqrt(size), dim=1)
        gathered.append(scores @ values[:, part])
    return torch.cat(gathered, dim=1) @ attention.out_proj.weight.T + attention.out_proj.bias


def restate_norm(layer, rows):
    centred = rows - rows.mean(dim=1, keepdim=True)
    return centred / (centred.square().mean(dim=1, keepdim=True) + 1e-5).sqrt() * layer.weight + layer.bias


def restate_hybrid(relation, query, memory):
    crossed = restate_attention(relation.attention, query, memory)
    own = restate_attention(relation.self_attention, query, query)
    return restate_norm(relation.layer_norm, query + crossed + own)


@torch.no_grad()
def test_hybrid_attention_adds_what_both_attentions_gather():
    relation, query, memory = build(HybridAttention), draw(2, 3, NUM_FEATURES), draw(2, 4, NUM_FEATURES)
    found = relation(query, memory)
    for clip in range(2):
        torch.testing.assert_close(found[clip], restate_hybrid(relation, query[clip], memory[clip]))


@torch.no_grad()
def test_a_hybrid_layer_agrees_with_the_definition():
    layer, query, memory = build(HybridLayer, hidden_features=7), draw(2, 3, NUM_FEATURES), draw(2, 4, NUM_FEATURES)
    related = restate_hybrid(layer.relation, query[1], memory[1])
    hidden = torch.relu(related @ layer.inner.weight.T + layer.inner.bias)
    expected = restate_norm(layer.layer_norm, related + hidden @ layer.outer.weight.T + layer.outer.bias)
    torch.testing.assert_close(layer(query, memory)[1], expected)


@torch.no_grad()
def test_one_layer_serves_both_modalities_each_reading_the_other_as_it_comes_in():
    network, visual, audio = build_network(), draw(2, 4, 11), draw(2, 4, 5)
    found = network(visual, audio)
    seen, heard = network.streams(visual, audio)
    torch.testing.assert_close(found.visual_inputs, seen)
    torch.testing.assert_close(found.audio_inputs, heard)
    torch.testing.assert_close(found.audio, network.hybrid(heard, seen))
    torch.testing.assert_close(found.visual, network.hybrid(seen, heard))
    pooled = network.pooling(torch.stack([found.audio, found.visual], dim=2))
    for name, value in vars(pooled).items():
        torch.testing.assert_close(getattr(found, name), value)


@torch.no_grad()
def test_the_answers_follow_the_order_of_the_segments():
    network, visual, audio, order = build_network(), draw(2, 4, 11), draw(2, 4, 5), [2, 0, 3, 1]
    forth, shuffled = network(visual, audio), network(visual[:, order], audio[:, order])
    torch.testing.assert_close(shuffled.segment_probabilities, forth.segment_probabilities[:, order])
    torch.testing.assert_close(shuffled.global_probabilities, forth.global_probabilities)


@pytest.mark.parametrize("modality", ["audio", "visual"])
@torch.no_grad()
def test_each_modality_hears_of_the_other(modality):
    network, visual, audio = build_network(), draw(2, 4, 11), draw(2, 4, 5)
    changed = network(visual, audio.flip(0)) if modality == "visual" else network(visual.flip(0), audio)
    answer = f"{modality}_probabilities"
    assert not torch.isclose(getattr(network(visual, audio), answer), getattr(changed, answer)).any()
