from pathlib import Path

import pytest

from pipeline.core.errors import ParamsError
from pipeline.core.sections import load_section
from pipeline.params.schema import FeaturesParams


def load(tmp_path: Path, text: str) -> FeaturesParams:
    path = tmp_path / "section.yaml"
    path.write_text(text)
    return load_section(path, FeaturesParams)


def test_a_file_is_validated_as_a_whole(tmp_path: Path) -> None:
    assert load(tmp_path, "source: extracted").source == "extracted"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source: found", r"section\.yaml has 1 faulty key: source: expected 'extracted' or 'released', found 'found'"),
        ("sauce: extracted", r"has 2 faulty keys: source: expected a value, found none; sauce: expected no such key"),
        ("source: [", r"section\.yaml: expected YAML 1\.2"),
    ],
)
def test_a_faulty_file_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message) as error:
        load(tmp_path, text)
    assert "\n" not in str(error.value)


def test_a_file_of_something_else_is_refused_in_a_line_that_can_be_read(tmp_path: Path) -> None:
    text = "\n".join(f"key_{number}: {'x' * 5000}" for number in range(90))
    with pytest.raises(ParamsError, match=r"has 91 faulty keys: source: .*; and 41 more$") as error:
        load(tmp_path, text)
    assert len(str(error.value)) < 50 * 600


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"absent\.yaml"):
        load_section(tmp_path / "absent.yaml", FeaturesParams)
