"""A copy of the repository in which DVC runs the whole graph on a few clips."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]


class Workspace:
    """A checkout with its own Git history, DVC cache and scratch store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        tracked = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\n")
        for name in filter(None, tracked):
            is_made = name.startswith("results/") or Path(name).name == "dvc.lock"
            if (ROOT / name).is_file() and not name.startswith("tests/") and not is_made:
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, path / name)
        shutil.copy(ROOT / "data/synthetic/preset.yaml", path / "params.yaml")
        self.run("git", "init", "--quiet")
        self.commit()

    @property
    def environment(self) -> dict[str, str]:
        """Programs of this virtual environment first; a name for commits; the copy's code, not the checkout's."""
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith("DVC")},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.path),
            **{
                f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
            },
        }

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, cwd=self.path, env=self.environment, capture_output=True, text=True)
        assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=self.path,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "state")

    def set_params(self, **changes: object) -> None:
        """Replace values in params.yaml: ``set_params(**{"train.seed": 3})``."""
        yaml = YAML()
        content = yaml.load(self.path / "params.yaml")
        for key, value in changes.items():
            *sections, last = key.split(".")
            place = content
            for section in sections:
                place = place[section]
            place[last] = value
        yaml.dump(content, self.path / "params.yaml")

    def read(self, pattern: str) -> dict[str, bytes]:
        """Return the bytes of the files that match, by name."""
        return {str(p.relative_to(self.path)): p.read_bytes() for p in sorted(self.path.glob(pattern)) if p.is_file()}


@pytest.fixture(scope="module")
def make_workspace(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Workspace]:
    return lambda: Workspace(tmp_path_factory.mktemp("repository"))
