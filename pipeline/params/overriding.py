"""Params with some values replaced, by the same keys and under the same rules as ``params.yaml``."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pipeline.core.errors import ParamsError, explain
from pipeline.core.sections import describe_faults
from pipeline.params.schema import Params, params_of_task


def override(params: Params, changes: Mapping[str, object], *, subject: str) -> Params:
    """Return `params` with the value of each dotted key replaced.

    Parameters
    ----------
    params : Params
    changes : mapping of str to object
        Such as ``{"train.cpsp.full.tau": 0.08}``; a list is replaced as a whole.
    subject : str
        Origin of the changes, for the error.

    Raises
    ------
    ParamsError
        If a key is unknown or names a whole section, or ``params.yaml`` could not have the value; all in one error.
    """
    content = params.model_dump()
    for key, value in changes.items():
        *sections, last = key.split(".")
        place: Any = content
        for section in sections:
            place = place.setdefault(section, {}) if isinstance(place, dict) else None
        if not isinstance(place, dict) or isinstance(place.get(last), dict):
            raise ParamsError(
                explain(
                    f"{subject}, {key}",
                    expected="the key of one value",
                    found="a section" if isinstance(place, dict) else "a key below a value",
                    remedy="write keys as in params.yaml, such as train.cpsp.full.tau",
                )
            )
        place[last] = value
    try:
        return params_of_task(content).model_validate(content)
    except ValidationError as error:
        raise ParamsError(describe_faults(subject, error)) from error
