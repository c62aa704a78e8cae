"""The dual multimodal residual network of AVE (Tian et al., ECCV 2018), as its own release; full only."""

from pipeline.core.sections import Section
from pipeline.methods.ave_att import AVE_FULL, AVE_SCHEDULE, AVEParams
from pipeline.methods.contract import Method


class AVEResidualSettings(Section):
    """AVE's residual network."""

    full: AVEParams


AVE_DMRN = Method(
    label="AVE (DMRN)",
    settings=AVEResidualSettings,
    networks={"full": "models.localization.ave:AVEResidualNet"},
    terms={"full": ("segment_margin",)},
    published={"full": AVEParams(num_epochs=300, **AVE_SCHEDULE)},
    recipes={"full": AVE_FULL},
    rule="per_segment",
)
