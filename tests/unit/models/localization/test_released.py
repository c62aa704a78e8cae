from itertools import permutations

import pytest
import torch
from torch import nn

from models.localization.avel import AVELNet
from models.localization.avsdn import AVSDNNet
from models.localization.cacenet import CACENet
from models.localization.cmbs import CMBSFullNet, CMBSWeakNet
from models.localization.cmran import CMRANNet
from models.localization.propagation import PositiveSamplePropagation
from models.localization.psp import PSPNet
from models.localization.released import Mismatch, translate, translate_names
from models.parsing.han import HANNet
from models.parsing.psp import MMILPSPNet

SIZES = {"num_categories": 2, "visual_channels": 4, "audio_features": 3, "num_positions": 4}
PARSING_SIZES = {"num_categories": 2, "visual_shape": (3, 4), "motion_features": 5, "audio_features": 3}
SAMPLES = {
    PSPNet: {
        "fa.0.weight": "audio_projection.0.weight",
        "fv.1.weight": "visual_projection.1.weight",
        "attention.affine_h.weight": "attention.score.weight",
        "lstm_a_v.lstm_audio.bias_hh_l0_reverse": "temporal.audio.bias_hh_l0_reverse",
        "psp.v_L1.weight": "propagation.visual_value.weight",
        "psp.a_L1.weight": "propagation.audio_key.weight",
        "psp.layer_norm.bias": "propagation.layer_norm.bias",
        "category_classifier.0.bias": "heads.category.bias",
    },
    AVELNet: {
        "affine_g.weight": "attention.audio_hidden.weight",
        "lstm_video.weight_ih_l0": "temporal.visual.weight_ih_l0",
        "U_a.2.bias": "fusion.audio.2.bias",
        "event_classifier.0.weight": "heads.relevance.weight",
    },
    AVSDNNet: {
        "affine_video.bias": "attention.visual_projection.bias",
        "lstm_a_v.weight_hh_l0_reverse": "joint.weight_hh_l0_reverse",
        "lstm_audio.bias_ih_l0": "temporal.audio.bias_ih_l0",
        "U_v.0.weight": "state_fusion.visual.0.weight",
    },
    CMRANNet: {
        "v_fc.weight": "attention.visual_projection.weight",
        "spatial_channel_att.affine_v_c_att.weight": "attention.channel_score.weight",
        "video_encoder.encoder.layers.1.self_attn.out_proj.bias": (
            "visual_encoder.layers.1.relation.attention.out_proj.bias"
        ),
        "audio_encoder.affine_matrix.weight": "audio_encoder.projection.weight",
        "video_decoder.decoder.layers.0.multihead_attn.in_proj_weight": (
            "visual_decoder.layer.relation.attention.in_proj_weight"
        ),
        "audio_decoder.decoder.layers.0.norm1.weight": "audio_decoder.layer.relation.layer_norm.weight",
        "audio_decoder.decoder.layers.0.norm2.weight": "audio_decoder.layer.layer_norm.weight",
        "AVInter.norm1.bias": "interaction.layer_norm.bias",
        "localize_module.classifier.weight": "heads.relevance.weight",
        "localize_module.event_classifier.weight": "heads.category.weight",
    },
    CMBSFullNet: {
        "v_fc.bias": "attention.guided.visual_projection.bias",
        "spatial_channel_att.norm.weight": "attention.layer_norm.weight",
        "spatial_channel_att.video_value.weight": "attention.positions.value.weight",
        "spatial_channel_att.affine_v_s_att.bias": "attention.guided.spatial_score.bias",
        "audio_visual_rnn_layer.visual_rnn.weight_ih_l0_reverse": "suppression.visual_lstm.weight_ih_l0_reverse",
        "audio_gated.0.weight": "suppression.gates.audio.weight",
        "VAInter.norm1.bias": "suppression.interaction.audio.layer_norm.bias",
        "video_cas.bias": "suppression.scores.visual.bias",
        "localize_module.classifier.bias": "heads.relevance.bias",
    },
    CMBSWeakNet: {
        "audio_gated.0.weight": "gates.visual.weight",
        "video_gated.0.weight": "gates.audio.weight",
        "audio_cas.weight": "scores.audio.weight",
        "AVInter.video_multihead.out_proj.bias": "interaction.visual.attention.out_proj.bias",
        "CAS_model.classifier.0.weight": "segment_scores.weight",
    },
    CACENet: {
        "spatial_channel_att.v_norm.bias": "attention.visual.layer_norm.bias",
        "spatial_channel_att.video_query.weight": "attention.visual.positions.query.weight",
        "spatial_channel_att.video_query2.weight": "attention.positions.query.weight",
        "spatial_channel_att.audio_key.weight": "attention.segments.key.weight",
        "spatial_channel_att.vaudio_value.bias": "attention.guidance.value.bias",
        "spatial_channel_att.a_norm.weight": "attention.layer_norm.weight",
        "localize_module.encoder_q.0.weight": "contrast.weight",
    },
    HANNet: {
        "fc_a.weight": "streams.audio.weight",
        "fc_v.bias": "streams.visual.appearance.bias",
        "fc_st.weight": "streams.visual.motion.weight",
        "fc_fusion.weight": "streams.visual.fusion.weight",
        "hat_encoder.layers.0.cm_attn.in_proj_weight": "hybrid.relation.attention.in_proj_weight",
        "hat_encoder.layers.0.self_attn.out_proj.bias": "hybrid.relation.self_attention.out_proj.bias",
        "hat_encoder.layers.0.norm1.weight": "hybrid.relation.layer_norm.weight",
        "hat_encoder.layers.0.linear2.weight": "hybrid.outer.weight",
        "fc_frame_att.bias": "pooling.segment_attention.bias",
    },
    MMILPSPNet: {
        "fc_v.weight": "streams.visual.appearance.weight",
        "lstm.lstm_video.weight_hh_l0_reverse": "temporal.visual.weight_hh_l0_reverse",
        "psp.a_fc.weight": "propagation.audio_output.weight",
        "psp.layer_norm.bias": "propagation.layer_norm.bias",
        "fc_prob.weight": "pooling.probability.weight",
        "fc_av_att.weight": "pooling.modality_attention.weight",
    },
}


def build(kind) -> nn.Module:
    sizes = PARSING_SIZES if kind in (HANNet, MMILPSPNet) else SIZES
    return kind(**sizes, **({"tau": 0.1} if kind in (PSPNet, MMILPSPNet) else {}))


def release(network) -> dict[str, torch.Tensor]:
    """Return the weights of one of our networks as a checkpoint of the released code has them."""
    homes = {ours: theirs for theirs, ours in type(network).released_names.items()}
    released = {}
    for name, tensor in network.named_parameters():
        (home,) = (each for each in homes if name.startswith(f"{each}."))
        released[f"module.{homes[home]}{name.removeprefix(home)}"] = tensor.detach()
    return released


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("prefix", ["module.", ""])
def test_released_names_are_translated_with_and_without_the_wrapper(kind, prefix):
    samples = SAMPLES[kind]
    assert translate_names([f"{prefix}{theirs}" for theirs in samples], build(kind)) == {
        f"{prefix}{theirs}": ours for theirs, ours in samples.items()
    }


@pytest.mark.parametrize("prefix", ["module.psp.", "psp."])
def test_the_nested_network_of_the_resnet_variants_is_unpacked(prefix):
    nested = {f"{prefix}{theirs}": ours for theirs, ours in SAMPLES[PSPNet].items()}
    assert translate_names([*nested, "module.align_v.weight"], build(PSPNet)) == nested


@pytest.mark.parametrize("kind", SAMPLES)
def test_every_parameter_has_one_released_name_and_comes_back_by_it(kind):
    network = build(kind)
    translated = translate(release(network), network)
    assert (translated.ignored, translated.missing, translated.mismatched) == ([], [], [])
    assert translated.state.keys() == network.state_dict().keys()
    assert all(torch.equal(translated.state[name], tensor) for name, tensor in network.state_dict().items())


def test_buffers_are_no_weights_and_stay_as_they_are():
    network = build(CACENet)
    network.set_guided(False)
    released = release(network)
    translated = translate(released, network)
    assert translated.missing == []
    assert translated.state["guided"].item() is False
    network.set_guided(True)
    network.load_state_dict(translate(released, network).state)
    assert network.guided
    assert translate(released | {"module.guided": torch.tensor(False)}, network).ignored == ["module.guided"]


def test_the_propagation_alone_is_translated():
    block = PositiveSamplePropagation(num_features=4, tau=0.1)
    released = {"v_L1.weight": torch.zeros(4, 4), "layer_norm.bias": torch.zeros(4)}
    assert translate(released, block).state.keys() == {"visual_value.weight", "layer_norm.bias"}


def test_layers_that_nothing_depends_on_are_ignored_and_absent_ones_named():
    network = build(AVELNet)
    released = release(network)
    del released["module.category_classifier.0.bias"]
    without_influence = ["module.L1.weight", "module.v_classify.L1.weight", "module.U_various.weight", "linear_v.bias"]
    translated = translate(released | dict.fromkeys(without_influence, torch.zeros(1)), network)
    assert translated.ignored == without_influence
    assert translated.missing == ["heads.category.bias"]
    assert translated.mismatched == []
    assert "heads.category.bias" not in translated.state


def test_unused_copies_of_encoder_layers_and_the_unused_attention_of_decoders_are_ignored():
    network = build(CMRANNet)
    unused = {
        "module.video_encoder.encoder_layer.self_attn.in_proj_weight": torch.zeros(768, 256),
        "module.audio_decoder.decoder_layer.linear1.weight": torch.zeros(2048, 256),
        "module.audio_decoder.decoder.layers.0.self_attn.in_proj_weight": torch.zeros(768, 256),
        "module.spatial_channel_att.affine_video_guided_1.weight": torch.zeros(64, 512),
    }
    translated = translate(release(network) | unused, network)
    assert translated.ignored == list(unused)
    assert (translated.missing, translated.mismatched) == ([], [])


def test_the_unused_encoders_of_han_are_ignored():
    network = build(HANNet)
    unused = {
        "audio_encoder.layers.0.self_attn.in_proj_weight": torch.zeros(1536, 512),
        "cmt_encoder.norm1.weight": torch.zeros(512),
        "hat_encoder.norm2.bias": torch.zeros(512),
    }
    translated = translate(release(network) | unused, network)
    assert translated.ignored == list(unused)
    assert (translated.missing, translated.mismatched) == ([], [])


def test_tensors_of_another_shape_are_left_out_and_listed_with_both_shapes():
    network = build(AVELNet)
    released = release(network) | {"module.category_classifier.0.weight": torch.zeros(28, 256)}
    translated = translate(released, network)
    assert translated.mismatched == [Mismatch("module.category_classifier.0.weight", (28, 256), (2, 256))]
    assert (translated.ignored, translated.missing) == ([], [])
    assert "heads.category.weight" not in translated.state


@pytest.mark.parametrize(("held", "wanted"), list(permutations(SAMPLES, 2)))
def test_the_checkpoint_of_another_network_is_not_loadable(held, wanted):
    translated = translate(release(build(held)), build(wanted))
    assert translated.missing or translated.mismatched


def test_double_precision_is_kept():
    network = build(PSPNet)
    translated = translate(release(network.double()), build(PSPNet))
    assert {tensor.dtype for tensor in translated.state.values()} == {torch.float64}
    assert translated.mismatched == []


def test_two_tensors_for_one_place_are_refused():
    released = {"fa.0.weight": torch.zeros(1), "module.fa.0.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"expected one audio_projection.0.weight, found both fa.0.weight and module"):
        translate(released, build(PSPNet))


def test_a_network_that_was_never_released_is_refused():
    with pytest.raises(ValueError, match=r"expected one with released weights, found Linear"):
        translate({}, nn.Linear(1, 1))
