"""Validated YAML files beside ``params.yaml``."""

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core.errors import ParamsError, explain, one_line
from pipeline.params.schema import Section, describe_faults

S = TypeVar("S", bound=Section)


def load_section(path: Path, schema: type[S]) -> S:
    """Read a YAML 1.2 file that is `schema`.

    Raises
    ------
    ParamsError
        If the file is missing or no YAML, or names every faulty key.
    """
    try:
        return schema.model_validate(YAML(typ="safe", pure=True).load(path))
    except ValidationError as error:
        raise ParamsError(describe_faults(path, error)) from error
    except (OSError, YAMLError) as error:
        raise ParamsError(
            explain(path, expected="YAML 1.2", found=one_line(error), remedy="mend or restore it")
        ) from error
