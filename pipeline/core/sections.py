"""Validated sections of YAML files: unknown keys are refused, all faults are reported at once, each by its full key.

Files are read as YAML 1.2, as DVC does (under YAML 1.1 ``on`` would be a truth value and ``1e-05`` a text).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core.errors import ParamsError, explain, one_line

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]
RowName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]

MAX_FAULTS = 50
"""Faulty keys that one error names: more is a file of something else."""


class Section(BaseModel):
    """A block of a YAML file: every key must be present, none may be unknown, nothing is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)


def load_section(
    path: Path,
    schema: type[S] | Callable[[Mapping[str, Any]], type[S]],
    *,
    expected: str = "a YAML file",
    remedy: str = "mend or restore it",
) -> S:
    """Read a YAML 1.2 file and validate it as `schema`, or as what `schema` says of its content.

    Raises
    ------
    ParamsError
        If the file is missing, is no YAML, or has wrong, missing or unknown keys; all of them are named together.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path)
    except OSError as error:
        raise ParamsError(explain(path, expected=expected, found="no readable file", remedy=remedy)) from error
    except YAMLError as error:
        raise ParamsError(
            explain(path, expected="YAML 1.2", found=one_line(error), remedy="mend the line it names")
        ) from error
    if not isinstance(content, dict):
        found = type(content).__name__
        raise ParamsError(explain(path, expected="sections such as `train:`", found=found, remedy=remedy))
    chosen: type[S] = schema if isinstance(schema, type) else schema(content)
    try:
        return chosen.model_validate(content)
    except ValidationError as error:
        raise ParamsError(describe_faults(path, error)) from error


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings with dotted keys.

    >>> flatten({"full": {"vpsa": {"margin": 0.2}}}, "train.cpsp.")
    {'train.cpsp.full.vpsa.margin': 0.2}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def contradiction(key: tuple[str, ...], *, expected: str, found: object) -> ValidationError:
    """Return the error of a key whose value another key forbids; a plain ValueError would blame the whole file."""
    return ValidationError.from_exception_data(
        "Params", [{"type": "value_error", "loc": key, "input": found, "ctx": {"error": ValueError(expected)}}]
    )


def describe_faults(subject: object, error: ValidationError) -> str:
    """Return the faulty keys that a validation found in `subject`, in one line: all of them, up to `MAX_FAULTS`."""
    found = error.errors(include_url=False)
    faults = [_describe_fault(fault) for fault in found[:MAX_FAULTS]]
    if len(found) > MAX_FAULTS:
        faults.append(f"and {len(found) - MAX_FAULTS} more")
    return f"{subject} has {len(found)} faulty key{'s' * (len(found) > 1)}: {'; '.join(faults)}"


def _describe_fault(fault: Any) -> str:
    key = one_line(".".join(str(part) for part in fault["loc"])) if fault["loc"] else "(file)"
    if fault["type"] == "missing":
        return f"{key}: expected a value, found none"
    if fault["type"] == "model_type":
        return f"{key}: expected a block of keys, found {one_line(repr(fault['input']))}"
    expected = "expected no such key" if fault["type"] == "extra_forbidden" else _lower_first(one_line(fault["msg"]))
    return f"{key}: {expected}, found {one_line(repr(fault['input']))}"


def _lower_first(text: str) -> str:
    text = text.replace("Input should be", "expected").replace("Value error, ", "expected ")
    return text[:1].lower() + text[1:]
