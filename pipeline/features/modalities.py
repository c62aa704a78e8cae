"""The two modalities and what makes the extractor of each, by name, so that neither depends on the other's code."""

from functools import partial

from pipeline.core.references import resolve
from pipeline.features.contract import BuildExtractor
from pipeline.features.recipes import Modality
from pipeline.params.schema import Params

EXTRACTORS: dict[Modality, str] = {
    "visual": "pipeline.features.visual.extractor:visual_extractor",
    "audio": "pipeline.features.audio.extractor:AudioExtractor",
}


def extractor_builder(params: Params, modality: Modality) -> BuildExtractor:
    """Return the builder of the extractor that `params` describe; it is called with a device."""
    return partial(resolve(EXTRACTORS[modality]), getattr(params, modality), params.dataset)
