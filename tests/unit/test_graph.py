"""``dvc.yaml`` against the code: DVC reruns a stage only for what its lists name."""

import ast
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipeline", "models", "stages")


def load(path: Path) -> dict:
    return YAML(typ="safe", pure=True).load(path)


STAGES = {**load(ROOT / "dvc.yaml")["stages"], **load(ROOT / "data/synthetic/dvc.yaml")["stages"]}
PARAMS = load(ROOT / "data/synthetic/preset.yaml")


def module_of(stage: str) -> Path:
    return ROOT / (re.search(r"python -m (stages\.\w+)", STAGES[stage]["cmd"])[1].replace(".", "/") + ".py")


def imported_files(path: Path) -> set[Path]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    files = set()
    for name in names:
        parts = name.split(".")
        if parts[0] not in PACKAGES:
            continue
        for depth in range(1, len(parts) + 1):
            place = ROOT.joinpath(*parts[:depth])
            files |= {file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()}
    return files


def reached_files(start: Path) -> set[str]:
    """Return every first-party file with code that `start` reaches, and the templates beside that code."""
    seen, waiting = set(), {start, ROOT / "stages/__init__.py"}
    while waiting:
        file = waiting.pop()
        seen.add(file)
        waiting |= imported_files(file) - seen
    code = {file for file in seen if len(ast.parse(file.read_text()).body) > 1}
    templates = {
        file
        for folder in {file.parent for file in code}
        for file in folder.glob("*.[jc]*")
        if file.suffix in (".j2", ".css", ".js")
    }
    return {str(file.relative_to(ROOT)) for file in code | templates}


def names(entries: list) -> list[str]:
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_code_it_reaches(stage: str) -> None:
    listed = {dep for dep in STAGES[stage]["deps"] if dep.startswith(PACKAGES)}
    assert listed == reached_files(module_of(stage))


@pytest.mark.parametrize("stage", STAGES)
def test_every_param_a_stage_lists_is_in_params_yaml(stage: str) -> None:
    for key in STAGES[stage].get("params", []):
        value = PARAMS
        for name in ("method", "supervision"):
            key = key.replace(f"${{train.{name}}}", PARAMS["train"][name])
        for part in key.split("."):
            assert part in value, f"{stage}: {key}"
            value = value[part]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_the_params_it_reads(stage: str) -> None:
    """A section that the stage's entry passes on must be listed, in whole or by some of its keys."""
    listed = {key.split(".")[0] for key in STAGES[stage].get("params", [])}
    sections = r"params\.(dataset|features|visual|audio|train|evaluate|report)\b"
    read = set(re.findall(sections, module_of(stage).read_text()))
    if stage == "evaluate":
        read.discard("train")  # only the device, which changes no result that is compared
    assert read <= listed


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_on_a_command_line_is_a_dependency_or_an_output(stage: str) -> None:
    entries = [*STAGES[stage]["deps"], *names(STAGES[stage]["outs"]), *names(STAGES[stage].get("metrics", []))]
    for path in re.findall(r"--(?!modality)\w+ (\S+)", STAGES[stage]["cmd"]):
        assert any(entry == path or entry.startswith(f"{path}/") for entry in entries), path


def test_stages_chain_from_raw_videos_to_the_report() -> None:
    outputs = {out: stage for stage, body in STAGES.items() for out in names(body["outs"])}
    for stage, body in STAGES.items():
        for dep in body["deps"]:
            if dep.startswith(PACKAGES):
                continue
            dep = dep.replace("${dataset.name}", "synthetic")
            produced = {out.replace("${dataset.name}", "synthetic") for out in outputs} | {
                "results/evaluate/metrics.json"
            }
            assert any(dep == out or dep.startswith(f"{out}/") for out in produced), f"{stage}: nobody makes {dep}"


def test_only_metrics_stay_out_of_the_cache() -> None:
    for stage, body in STAGES.items():
        for out in body["outs"]:
            assert isinstance(out, str), f"{stage}: {out} has options; persist and cache: false lose data or reruns"


def test_dvc_reports_nothing_to_anyone() -> None:
    config = (ROOT / ".dvc/config").read_text()
    assert "analytics = false" in config
    assert "check_update = false" in config
