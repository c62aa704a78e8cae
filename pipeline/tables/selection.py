"""What of the tables is computed: methods, ablations and seeds."""

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, ValidationError, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import ParamsError, explain
from pipeline.params import Count, MethodName, Section, Seed, Supervision, _describe

RowName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
S = TypeVar("S", bound=Section)


class TablesParams(Section):
    """The rows of the tables that are trained, each with every seed; `num_epochs` counts for all of them."""

    methods: Annotated[list[MethodName], Field(min_length=1)]
    supervisions: Annotated[list[Supervision], Field(min_length=1)]
    ablations: list[RowName]
    seeds: Annotated[list[Seed], Field(min_length=1)]
    num_epochs: Count | None

    @field_validator("methods", "supervisions", "ablations", "seeds")
    @classmethod
    def _each_once(cls, values: list[object]) -> list[object]:
        if len(set(values)) < len(values):
            raise ValueError("each once")
        return values


class _Selection(Section):
    tables: TablesParams


def load_selection(path: Path) -> TablesParams:
    """Read the section ``tables`` of `path`.

    Raises
    ------
    ParamsError
        If the file is missing or no YAML, or names every faulty key.
    """
    return load_section(path, _Selection).tables


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
        raise ParamsError(_describe(path, error)) from error
    except (OSError, YAMLError) as error:
        raise ParamsError(
            explain(path, expected="YAML 1.2", found=" ".join(str(error).split()), remedy="mend or restore it")
        ) from error
