import math

import torch

from models.localization.relation import RelationAttention, RelationDecoder, RelationEncoder, RelationLayer

NUM_FEATURES, NUM_HEADS = 6, 2


def build(kind, **settings):
    torch.manual_seed(0)
    module = kind(**({"num_features": NUM_FEATURES, "num_heads": NUM_HEADS, "dropout": 0.5} | settings)).double().eval()
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):  # attention starts with biases of zero, which would hide them
            torch.nn.init.normal_(parameter)
    return module


def restate_norm(layer, vector):
    centred = vector - vector.mean()
    return centred / math.sqrt(centred.square().mean() + 1e-5) * layer.weight + layer.bias


def restate_relation(relation, query, memory):
    """Relate queries (T, D) to a memory (M, D), head by head and pair by pair."""
    attention, size = relation.attention, NUM_FEATURES // NUM_HEADS
    weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    rows = []
    for asking in query:
        gathered = []
        for head in range(NUM_HEADS):
            part = slice(head * size, (head + 1) * size)
            question = weights[0][part] @ asking + biases[0][part]
            keys = [weights[1][part] @ answering + biases[1][part] for answering in memory]
            values = [weights[2][part] @ answering + biases[2][part] for answering in memory]
            scores = [math.exp(question @ key / math.sqrt(size)) for key in keys]
            gathered.append(sum(score / sum(scores) * value for score, value in zip(scores, values, strict=True)))
        out = attention.out_proj.weight @ torch.cat(gathered) + attention.out_proj.bias
        rows.append(restate_norm(relation.layer_norm, asking + out))
    return torch.stack(rows)


def restate_layer(layer, query, memory):
    rows = []
    for related in restate_relation(layer.relation, query, memory):
        hidden = (layer.inner.weight @ related + layer.inner.bias).clamp(min=0)
        rows.append(restate_norm(layer.layer_norm, related + layer.outer.weight @ hidden + layer.outer.bias))
    return torch.stack(rows)


def draw(*shape):
    torch.manual_seed(1)
    return torch.randn(*shape, dtype=torch.float64)


@torch.no_grad()
def test_attention_agrees_with_the_definition_pair_by_pair():
    relation, query, memory = build(RelationAttention), draw(2, 3, NUM_FEATURES), draw(2, 5, NUM_FEATURES)
    related = relation(query, memory)
    for clip in range(2):
        torch.testing.assert_close(related[clip], restate_relation(relation, query[clip], memory[clip]))


@torch.no_grad()
def test_a_layer_agrees_with_the_definition():
    layer, query, memory = build(RelationLayer), draw(2, 3, NUM_FEATURES), draw(2, 5, NUM_FEATURES)
    torch.testing.assert_close(layer(query, memory)[1], restate_layer(layer, query[1], memory[1]))


@torch.no_grad()
def test_the_encoder_relates_the_projected_segments_to_themselves_layer_by_layer():
    encoder, features = build(RelationEncoder, in_features=4), draw(2, 3, 4)
    assert len(encoder.layers) == 2
    expected = features[1] @ encoder.projection.weight.T + encoder.projection.bias
    for layer in encoder.layers:
        expected = restate_layer(layer, expected, expected)
    torch.testing.assert_close(encoder(features)[1], expected)


@torch.no_grad()
def test_the_decoder_relates_the_projected_segments_to_the_memory_and_themselves():
    decoder, features, memory = build(RelationDecoder, in_features=4), draw(2, 3, 4), draw(2, 5, NUM_FEATURES)
    query = features[1] @ decoder.projection.weight.T + decoder.projection.bias
    expected = restate_layer(decoder.layer, query, torch.cat([query, memory[1]]))
    torch.testing.assert_close(decoder(features, memory)[1], expected)


@torch.no_grad()
def test_dropout_touches_every_step_while_training():
    layer, query = build(RelationLayer).train(), draw(2, 3, NUM_FEATURES)
    assert layer.relation.attention.dropout == layer.relation.dropout.p == layer.dropout.p == 0.5
    touched = []
    for dropout in (layer.relation.dropout, layer.dropout):
        dropout.register_forward_hook(lambda _, inputs, output: touched.append(output.shape[-1]))
    assert not torch.equal(layer(query, query), layer(query, query))
    assert touched == [NUM_FEATURES, layer.inner.out_features, NUM_FEATURES] * 2
    before = layer.eval()(query, query)
    assert torch.equal(before, layer(query, query))


def test_dropout_of_the_weights_may_differ_from_that_of_the_features():
    relation = build(RelationAttention, attention_dropout=0.25)
    assert (relation.attention.dropout, relation.dropout.p) == (0.25, 0.5)
    assert build(RelationAttention, attention_dropout=0.0).attention.dropout == 0.0
