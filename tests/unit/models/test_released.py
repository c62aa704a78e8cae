import pytest
import torch

from models.psp import PSPNet
from models.released import _NAMES, translate

SAMPLES = {
    "fa.0.weight": "audio_projection.0.weight",
    "fv.1.weight": "visual_projection.1.weight",
    "attention.affine_h.weight": "attention.score.weight",
    "lstm_a_v.lstm_audio.bias_hh_l0_reverse": "temporal.audio.bias_hh_l0_reverse",
    "psp.v_L1.weight": "propagation.visual_value.weight",
    "psp.a_L1.weight": "propagation.audio_key.weight",
    "psp.layer_norm.bias": "propagation.layer_norm.bias",
    "category_classifier.0.bias": "heads.category.bias",
}


@pytest.mark.parametrize("prefix", ["module.", "", "module.psp.", "psp."])
def test_released_names_are_translated_with_any_prefix(prefix):
    released = {f"{prefix}{theirs}": torch.tensor(index) for index, theirs in enumerate(SAMPLES)}
    translated = translate(released, dict.fromkeys(SAMPLES.values(), torch.zeros(())))
    assert {name: value.item() for name, value in translated.state.items()} == {
        ours: index for index, ours in enumerate(SAMPLES.values())
    }
    assert translated.ignored == []
    assert translated.missing == []


def test_layers_that_nothing_depends_on_are_ignored_and_absent_ones_named():
    released = {
        "module.fa.0.weight": torch.zeros(1),
        "module.L1.weight": torch.zeros(1),
        "module.v_classify.L1.weight": torch.zeros(1),
        "module.fast.weight": torch.zeros(1),
    }
    expected = {"audio_projection.0.weight": torch.zeros(1), "heads.category.bias": torch.zeros(1)}
    translated = translate(released, expected)
    assert translated.state.keys() == {"audio_projection.0.weight"}
    assert translated.ignored == ["module.L1.weight", "module.v_classify.L1.weight", "module.fast.weight"]
    assert translated.missing == ["heads.category.bias"]


def test_every_parameter_of_the_network_has_a_released_name():
    network = PSPNet(num_categories=2, tau=0.1)
    homes = tuple(f"{ours}." for ours in _NAMES.values())
    assert [name for name in network.state_dict() if not name.startswith(homes)] == []
