"""The description of a method: its settings, its networks, its objective and its authors' recipe, by supervision.

A method is a file in this folder, a network in :mod:`models.localization` (its own or a shared one), a line in
:mod:`pipeline.methods.registry`, a block in each ``data/*/preset.yaml`` and a parity test. A method gives its networks
and terms by name, so that a stage that only validates params does not import torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipeline.core.references import module_of
from pipeline.core.sections import Section
from pipeline.methods.recipe import COMMON, Recipe, RecipeName
from pipeline.methods.settings import CPSP_RELEASE, Gate, GateChoice, Schedule, ScheduleParams, Supervision, Task


@dataclass(frozen=True)
class Method:
    """A method.

    Parameters
    ----------
    label : str
        Its name in tables.
    settings : type of Section
        Its block of ``train``: a section `full`, a section `weak`, or both.
    networks : mapping of str to str
        References to the network's class by supervision, see :mod:`pipeline.core.references`. It is built from the
        number of categories, the data set's ``network_inputs`` and the settings' ``network_settings``, by keyword.
    terms : mapping of str to tuple of str
        Terms of the objective by supervision: names in the ``TERMS`` of its task, such as
        :data:`pipeline.training.localization.terms.TERMS`. A term of weight 0 is not computed.
    published : mapping of str to ScheduleParams
        Settings by supervision, of the authors' release, or of the release whose table lists the method.
    recipes : mapping of str to Recipe, optional
        The authors' conduct of training by supervision, where it is another than that of the CPSP release.
    task : {"localization", "parsing"}, optional
    rule : {"gated", "per_segment", "own_gate", "global_gate"}, optional
        How labels follow from its networks' answers, see :mod:`pipeline.metrics.localization` for the first two, of
        localization, and :mod:`pipeline.metrics.parsing` for the others.
    """

    label: str
    settings: type[Section]
    networks: Mapping[Supervision, str]
    terms: Mapping[Supervision, tuple[str, ...]]
    published: Mapping[Supervision, ScheduleParams]
    recipes: Mapping[Supervision, Recipe] = field(default_factory=dict)
    task: Task = "localization"
    rule: Literal["gated", "per_segment", "own_gate", "global_gate"] = "gated"

    @property
    def supervisions(self) -> tuple[Supervision, ...]:
        """The supervisions that it can be trained under, full first."""
        return tuple(self.networks)

    def rule_with(self, gate: GateChoice) -> str:
        """Return how labels follow from its answers where a gate is chosen; the authors' is that of `rule`."""
        return self.rule if gate == "authors" else f"{gate}_gate"

    @property
    def needs_event_shares(self) -> bool:
        """Whether weak training needs the share of each clip's segments that hold its event."""
        return "class_share" in self.terms.get("weak", ())

    @property
    def terms_module(self) -> str:
        """The module that has the terms of its task by name, ``TERMS``."""
        return f"pipeline.training.{self.task}.terms"

    def modules(self, supervision: Supervision) -> tuple[str, ...]:
        """Return the modules whose code is the method: what declares it, its network, and what its task has."""
        dataset = f"pipeline.training.{self.task}.dataset"
        return self.settings.__module__, module_of(self.networks[supervision]), self.terms_module, dataset

    def recipe(self, supervision: Supervision, name: RecipeName) -> Recipe:
        """Return the conduct of training: the authors', or the one that all methods share."""
        return self.recipes.get(supervision, COMMON) if name == "authors" else COMMON

    def has_own_recipe(self, supervision: Supervision) -> bool:
        """Tell whether the authors' recipe is another than the common one, in its conduct or its schedule."""
        schedule = self.published[supervision].model_dump(include=set(Schedule.model_fields))
        return self.recipe(supervision, "authors") != COMMON or schedule != CPSP_RELEASE[self.task][supervision]


def gate_of_rule(rule: str) -> Gate:
    """Return the gate of a method's rule.

    >>> gate_of_rule("own_gate")
    'own'
    """
    return "global" if rule == "global_gate" else "own"


def both(reference: str) -> dict[Supervision, str]:
    """Return the networks of a method that has one for either supervision."""
    return {"full": reference, "weak": reference}
