from pathlib import Path

import pytest

from pipeline.errors import ParamsError
from pipeline.tables.selection import load_selection

ROOT = Path(__file__).resolve().parents[4]
GOOD = """
tables:
  methods: [psp]
  supervisions: [weak]
  ablations: []
  seeds: [1]
  num_epochs: null
"""


def load(tmp_path: Path, text: str) -> object:
    path = tmp_path / "selection.yaml"
    path.write_text(text)
    return load_selection(path)


def test_the_shipped_selection_is_small(tmp_path: Path) -> None:
    shipped = load_selection(ROOT / "tables/selection.yaml")
    assert (shipped.methods, shipped.supervisions, shipped.ablations) == (["psp", "cpsp"], ["full", "weak"], [])
    assert len(shipped.seeds) == 3
    assert load(tmp_path, GOOD).num_epochs is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[psp]", "[pps]", r"tables\.methods\.0: expected 'avel'.*found 'pps'"),
        ("[psp]", "[]", r"tables\.methods: .*at least 1"),
        ("[1]", "[]", r"tables\.seeds: .*at least 1"),
        ("[1]", "[1, 2, 1]", r"tables\.seeds: expected each once, found \[1, 2, 1\]"),
        ("[1]", "[-1]", r"tables\.seeds\.0"),
        ("ablations: []", "ablations: [../x]", r"tables\.ablations\.0"),
        ("num_epochs: null", "num_epochs: 0", r"tables\.num_epochs"),
        ("num_epochs: null", "epochs: 3", r"tables\.num_epochs: expected a value, found none; tables\.epochs"),
        ("tables:", "tables: [", "expected YAML 1.2"),
    ],
)
def test_a_faulty_selection_is_refused_in_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message) as error:
        load(tmp_path, GOOD.replace(old, new))
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"absent\.yaml"):
        load_selection(tmp_path / "absent.yaml")
