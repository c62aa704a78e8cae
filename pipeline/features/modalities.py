"""The two modalities: which extractor computes the features of each, by name: neither depends on the other's code."""

from functools import partial

from pipeline.core.references import resolve
from pipeline.features.contract import BuildExtractor
from pipeline.features.recipes import Modality
from pipeline.params.schema import Params

EXTRACTORS: dict[Modality, str] = {
    "visual": "pipeline.features.visual.extractor:VisualExtractor",
    "audio": "pipeline.features.audio.extractor:AudioExtractor",
}


def extractor_builder(params: Params, modality: Modality) -> BuildExtractor:
    """Return what makes the extractor that `params` describe, for a device."""
    return partial(resolve(EXTRACTORS[modality]), getattr(params, modality), params.dataset)
