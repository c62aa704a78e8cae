"""What can be trained, for tests that go over all of it."""

import pytest

from pipeline.methods.registry import methods_of

TRAININGS = [
    (name, supervision) for name, method in methods_of("localization").items() for supervision in method.supervisions
]
"""Every method with each supervision that it has."""

EVERY_TRAINING = pytest.mark.parametrize(("method", "supervision"), TRAININGS)
"""Runs a test for each of them, as the arguments ``method`` and ``supervision``."""
