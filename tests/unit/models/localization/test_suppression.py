import torch

from models.localization.suppression import (
    NUM_FEATURES,
    BackgroundSuppression,
    CrossModalRelations,
    Interaction,
    mean_of_top,
)


def draw(*shape):
    torch.manual_seed(1)
    return torch.randn(*shape, dtype=torch.float64)


def build(kind, **settings):
    torch.manual_seed(0)
    return kind(**settings).double().eval()


def test_the_strongest_segments_decide_on_each_class():
    scores = torch.tensor([[[1.0, -9.0], [5.0, -1.0], [2.0, -2.0], [4.0, -3.0], [3.0, -4.0]]])
    torch.testing.assert_close(mean_of_top(scores), torch.tensor([[(5 + 4 + 3 + 2) / 4, -(1 + 2 + 3 + 4) / 4]]))
    torch.testing.assert_close(mean_of_top(scores[:, :3]), scores[:, :3].mean(dim=1))


@torch.no_grad()
def test_the_audio_meets_the_visual_features_as_the_interaction_left_them():
    interaction = build(Interaction, num_heads=2, dropout=0.1, attention_dropout=0.2)
    visual, audio = draw(2, 3, NUM_FEATURES), draw(2, 3, NUM_FEATURES).flip(0)
    visual_then, audio_then = interaction(visual, audio)
    torch.testing.assert_close(visual_then, interaction.visual(visual * audio, torch.cat([audio, visual], dim=1)))
    expected = interaction.audio(audio * visual_then, torch.cat([visual_then, audio], dim=1))
    torch.testing.assert_close(audio_then, expected)


@torch.no_grad()
def test_each_decoder_reads_its_modality_and_the_code_of_the_other():
    relations = build(
        CrossModalRelations, visual_features=6, audio_features=5, encoder_hidden=8, decoder_hidden=7, dropout=0.1
    )
    visual, audio = draw(2, 3, 6), draw(2, 3, 5)
    related = relations(visual, audio)
    torch.testing.assert_close(related.encoded_visual, relations.visual_encoder(visual))
    torch.testing.assert_close(related.encoded_audio, relations.audio_encoder(audio))
    torch.testing.assert_close(related.decoded_visual, relations.visual_decoder(visual, related.encoded_audio))
    torch.testing.assert_close(related.decoded_audio, relations.audio_decoder(audio, related.encoded_visual))
    assert relations.visual_encoder.layers[1].inner.out_features == 8
    assert relations.audio_decoder.layer.inner.out_features == 7


@torch.no_grad()
def test_each_modality_is_stressed_where_the_other_holds_an_event():
    block = build(
        BackgroundSuppression,
        num_categories=3,
        visual_features=6,
        audio_features=5,
        alpha=0.1,
        decoder_hidden=8,
        dropout=0.1,
        interaction_dropout=0.2,
    )
    found = block(draw(2, 5, 6), draw(2, 5, 5))
    torch.testing.assert_close(found.visual_gate, block.gates.visual(found.encoded_visual).sigmoid().squeeze(-1))
    torch.testing.assert_close(found.audio_gate, block.gates.audio(found.encoded_audio).sigmoid().squeeze(-1))
    torch.testing.assert_close(found.gate, found.visual_gate * found.audio_gate)
    visual = found.decoded_visual * (1 + 0.1 * found.audio_gate.unsqueeze(-1))
    audio = found.decoded_audio * (1 + 0.1 * found.visual_gate.unsqueeze(-1))
    torch.testing.assert_close(found.visual_scores, block.scores.visual(visual))
    torch.testing.assert_close(found.audio_scores, block.scores.audio(audio))
    both = (mean_of_top(found.visual_scores) + mean_of_top(found.audio_scores)) / 2
    torch.testing.assert_close(found.class_scores, both)
    expected = block.interaction(visual, audio)
    torch.testing.assert_close((found.interacted_visual, found.interacted_audio), expected)
    torch.testing.assert_close(found.fusion, sum(expected) / 2)
