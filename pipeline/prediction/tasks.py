"""The readings by task."""

from collections.abc import Mapping

from pipeline.methods.registry import METHODS
from pipeline.methods.settings import Task
from pipeline.prediction.contract import Reading
from pipeline.prediction.localization.reading import LocalizationReading
from pipeline.training.checkpoints import Checkpoint

READINGS: Mapping[Task, type[Reading]] = {"localization": LocalizationReading}


def reading_class(checkpoint: Checkpoint) -> type[Reading]:
    """Return how the answers of a checkpoint's network are read: the method has a task, which decides it."""
    return READINGS[METHODS[checkpoint.method].task]
