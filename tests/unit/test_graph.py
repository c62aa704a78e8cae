"""``dvc.yaml`` against the code: DVC reruns a stage only for what its lists name."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.backbones.registry import BACKBONES
from pipeline.core.fingerprints import import_closure
from pipeline.core.references import module_of
from pipeline.evaluation.stage import WRITERS
from pipeline.features.modalities import EXTRACTORS
from pipeline.methods.registry import METHODS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipeline", "models", "stages")


def load(path: Path) -> dict:
    return YAML(typ="safe", pure=True).load(path)


STAGES = {
    **load(ROOT / "dvc.yaml")["stages"],
    "render": load(ROOT / "data/synthetic/dvc.yaml")["stages"]["render"],
    "render_parsing": load(ROOT / "data/synthetic_parsing/dvc.yaml")["stages"]["render"],
}
PARAMS = load(ROOT / "data/synthetic/preset.yaml")
PARAMS_FILE = {"pipeline.params.schema": ROOT / "pipeline/params/schema.py"}


def entry_of(stage: str, cmd: str) -> tuple[str, ...]:
    """Return the modules that a stage starts from: its own, and those that it names instead of importing them."""
    entry = re.findall(r"python -m (stages\.\w+)", cmd)
    if stage in ("train", "evaluate", "plan"):
        entry += [name for method in METHODS.values() for each in method.supervisions for name in method.modules(each)]
    if stage in ("evaluate", "plan"):
        entry += [module_of(writer) for writer in WRITERS.values()]
    if modality := re.search(r"--modality (\w+)", cmd):
        entry.append(module_of(EXTRACTORS[modality[1]]))
    if stage == "extract_visual":
        entry += [module_of(backbone.network) for backbone in BACKBONES.values()]
    return tuple(entry)


def reached_files(*entry: str) -> set[str]:
    """Return every first-party file with code that these modules reach, and the templates beside that code.

    What only the validation of params reaches does not count: a stage lists the values that it reads. Nor does the
    package itself, which holds the version.
    """
    closure = import_closure(*entry, leave_out=("pipeline.params",)) | PARAMS_FILE
    code = {file for file in closure.values() if len(ast.parse(file.read_text()).body) > 1}
    templates = {
        file
        for folder in {file.parent for file in code}
        for file in folder.glob("*.[jc]*")
        if file.suffix in (".j2", ".css", ".js")
    }
    return {str(file.relative_to(ROOT)) for file in code | templates} - {"pipeline/__init__.py"}


def listed_code(deps: list[str]) -> set[str]:
    return {dep for dep in deps if dep.startswith(tuple(f"{package}/" for package in PACKAGES))}


def is_covered(file: str, listed: set[str]) -> bool:
    return any(file == entry or file.startswith(f"{entry}/") for entry in listed)


def names(entries: list) -> list[str]:
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_the_code_it_reaches_and_on_no_folder_it_does_not(stage: str) -> None:
    listed = listed_code(STAGES[stage]["deps"])
    reached = reached_files(*entry_of(stage, STAGES[stage]["cmd"]))
    assert sorted(file for file in reached if not is_covered(file, listed)) == []
    assert sorted(entry for entry in listed if not any(is_covered(file, {entry}) for file in reached)) == []


def test_a_decoder_of_one_modality_is_none_of_the_other() -> None:
    visual, audio = (
        reached_files(*entry_of(stage, STAGES[stage]["cmd"])) for stage in ("extract_visual", "extract_audio")
    )
    assert "pipeline/features/visual/frames.py" in visual - audio
    assert "pipeline/features/audio/log_mel.py" in audio - visual


def test_compiled_code_is_no_dependency() -> None:
    assert "__pycache__/" in (ROOT / ".dvcignore").read_text().splitlines()


@pytest.mark.parametrize("stage", STAGES)
def test_every_param_a_stage_lists_is_in_params_yaml(stage: str) -> None:
    for key in STAGES[stage].get("params", []):
        value = PARAMS
        for name in ("method", "supervision"):
            key = key.replace(f"${{train.{name}}}", PARAMS["train"][name])
        for part in key.split("."):
            assert part in value, f"{stage}: {key}"
            value = value[part]


def source_of(stage: str) -> str:
    name = re.search(r"python -m stages\.(\w+)", STAGES[stage]["cmd"])[1]
    return (ROOT / f"stages/{name}.py").read_text()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_the_params_it_reads(stage: str) -> None:
    """A section that the stage's entry passes on must be listed, in whole or by some of its keys."""
    listed = {key.split(".")[0] for key in STAGES[stage].get("params", [])}
    sections = r"params\.(dataset|features|visual|audio|train|evaluate|report)\b"
    read = set(re.findall(sections, source_of(stage)))
    if stage == "evaluate":
        read.discard("train")  # only the device, which changes no result that is compared
    assert read <= listed


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_on_a_command_line_is_a_dependency_or_an_output(stage: str) -> None:
    entries = [*STAGES[stage]["deps"], *names(STAGES[stage]["outs"]), *names(STAGES[stage].get("metrics", []))]
    for path in re.findall(r"--(?!modality|task)\w+ (\S+)", STAGES[stage]["cmd"]):
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


ORDER = (
    "core",
    "backbones",
    "methods",
    "params",
    "media",
    "store",
    "annotations",
    "features",
    "extraction",
    "released",
    "metrics",
    "training",
    "evaluation",
    "drawing",
    "synthetic",
    "report",
    "tables",
    "prediction",
    "doctor",
)
"""The rooms of the pipeline: each imports only from those before it."""


def rooms_imported(path: Path) -> set[str]:
    closure = {module for node in ast.walk(ast.parse(path.read_text())) for module in imported_modules(node)}
    return {module.split(".")[1] for module in closure if module.startswith("pipeline.")}


def imported_modules(node: ast.AST) -> set[str]:
    if isinstance(node, ast.ImportFrom) and node.module is not None:
        return {node.module} if node.module != "pipeline" else {f"pipeline.{alias.name}" for alias in node.names}
    return {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()


def test_every_room_stands_in_the_order_and_no_module_stands_outside_of_one() -> None:
    pipeline = ROOT / "pipeline"
    assert {path.parent.name for path in pipeline.glob("*/__init__.py")} == set(ORDER)
    assert {path.name for path in pipeline.glob("*.py")} == {"__init__.py", "__main__.py", "cli.py"}


@pytest.mark.parametrize("room", ORDER)
def test_a_room_imports_only_from_the_rooms_before_it(room: str) -> None:
    allowed = {room, *ORDER[: ORDER.index(room)]}
    above = {
        str(path.relative_to(ROOT)): sorted(found)
        for path in (ROOT / "pipeline" / room).rglob("*.py")
        if (found := rooms_imported(path) - allowed)
    }
    assert above == {}


def test_networks_know_nothing_of_the_pipeline() -> None:
    modules = {
        module
        for path in (ROOT / "models").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for module in imported_modules(node)
    }
    assert {module for module in modules if module.split(".")[0] in ("pipeline", "stages")} == set()
    assert not {module for module in modules if module.startswith("models.localization")} & {
        module
        for path in (ROOT / "models/backbones").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for module in imported_modules(node)
    }


def test_validating_params_needs_no_torch() -> None:
    code = "import sys, stages.prepare, stages.table_render, pipeline.features.recipes; print('torch' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "False"


def test_every_file_can_be_read_in_one_go() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    assert {path: length for path, length in lengths.items() if length > 450} == {}
