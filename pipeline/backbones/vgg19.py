"""VGG19: ``block5_pool`` maps, (7, 7, 512), by the recipe of the AVE release.

Source: Tian et al., Audio-Visual Event Localization in Unconstrained Videos, ECCV 2018, and its released scripts.
"""

from torch import Tensor, nn

from models.backbones.vgg19 import VGG19, state_from_keras, state_from_torchvision
from pipeline.backbones.contract import Backbone, frame_decoder
from pipeline.core.errors import WeightsError
from pipeline.features.weights import Weights, load_into


def _build(weights: Weights, seed: int) -> nn.Module:
    network = VGG19()
    if weights.layout == "random":
        network.init_random(seed)
        return network
    try:
        convert = state_from_keras if weights.layout == "keras" else state_from_torchvision
        load_into(network, convert(weights.content))
    except ValueError as error:
        raise WeightsError(f"{error}; name a file of VGG19 weights") from error
    return network


def _features(network: nn.Module, images: Tensor) -> Tensor:
    maps: Tensor = network(images)
    return maps.permute(0, 2, 3, 1)


VGG19_BLOCK5 = Backbone(
    build=_build,
    features=_features,
    decoder=frame_decoder,
    modules=("models/backbones/vgg19.py", "pipeline/backbones/vgg19.py", "pipeline/features/visual/frames.py"),
    batch_sizes={"cpu": 8, "cuda": 128},
)
