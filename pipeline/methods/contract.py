"""The description of a method: its settings, its network, and the terms of its objective under either supervision.

A method is a file in this folder, a network in :mod:`models.localization` (its own or a shared one), a line in
:mod:`pipeline.methods.registry`, a block in each ``data/*/preset.yaml`` and a parity test. A method gives its network
and terms by name, so that a stage that only validates params does not import torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.core.references import module_of
from pipeline.core.sections import Section
from pipeline.methods.settings import ScheduleParams, Supervision


@dataclass(frozen=True)
class Method:
    """A method.

    Parameters
    ----------
    label : str
        Its name in tables.
    settings : type of Section
        Its block of ``train``: a section `full` and a section `weak`.
    network : str
        Reference to the network's class, see :mod:`pipeline.core.references`. It is built from an
        :class:`pipeline.training.networks.InputShape`, spread out, and the settings' ``network_settings``.
    terms : mapping of str to tuple of str
        Terms of the objective by supervision: names in :data:`pipeline.training.terms.TERMS`. A term of weight 0 is not
        computed.
    published : mapping of str to ScheduleParams
        Settings by supervision, of the authors' release, or of the release whose table lists the method.
    weak_background_clips : bool, optional
        Whether the method's authors add clips of background alone to weak training.
    """

    label: str
    settings: type[Section]
    network: str
    terms: Mapping[Supervision, tuple[str, ...]]
    published: Mapping[Supervision, ScheduleParams]
    weak_background_clips: bool = False

    @property
    def modules(self) -> tuple[str, str]:
        """The modules whose code is the method: the one that declares it, and that of its network."""
        return self.settings.__module__, module_of(self.network)
