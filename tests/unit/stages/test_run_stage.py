"""What every stage does around its one call: faults are one line and an exit code, never a traceback."""

import argparse
import errno
import os
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import MediaError, PipelineError, explain
from pipeline.params.schema import Params
from stages import run_stage

ROOT = Path(__file__).resolve().parents[3]
PARAMS = (ROOT / "data" / "synthetic" / "preset.yaml").read_text(encoding="utf-8")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[object, list[Params]]]:
    """Return a runner of a stage that does what it is told; it returns the exit code and what `main` was given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stages.end_with_parent", lambda: True)
    monkeypatch.setattr(sys, "argv", ["stage", "--output", "there"])
    (tmp_path / "params.yaml").write_text(PARAMS)

    def run_main(fault: BaseException | None = None) -> tuple[object, list[Params]]:
        calls = []

        def main(arguments: argparse.Namespace, params: Params) -> None:
            assert arguments.output == Path("there")
            calls.append(params)
            if fault is not None:
                raise fault

        parser = argparse.ArgumentParser()
        parser.add_argument("--output", type=Path)
        try:
            run_stage(main, parser)
        except SystemExit as stop:
            return stop.code, calls
        return 0, calls

    return run_main


def test_main_gets_paths_and_validated_params(run):
    code, (params,) = run()
    assert code == 0
    assert params.dataset.name == "synthetic"


@pytest.mark.parametrize(
    "fault",
    [
        PipelineError(explain("features", expected="some", found="none", remedy="extract them")),
        MediaError("missing", "clip.mp4: no such file"),
    ],
)
def test_a_users_mistake_is_one_line(fault, run):
    code, _ = run(fault)
    assert code == f"error: {fault}"  # Python prints it on standard error and exits with 1


def test_faulty_params_stop_the_stage_before_its_work_with_every_key_in_one_line(run, tmp_path):
    text = PARAMS.replace("seed: 123", "seed: yes please").replace("num_clips: 12", "clips: 12")
    (tmp_path / "params.yaml").write_text(text)
    code, calls = run()
    assert calls == []
    for key in ("train.seed", "report.num_clips", "report.clips"):
        assert key in code
    assert code.startswith("error: params.yaml has 3 faulty keys: ")
    assert "\n" not in code


def test_missing_params_say_where_to_run(run, tmp_path):
    (tmp_path / "params.yaml").unlink()
    code, calls = run()
    assert calls == []
    assert code.startswith("error: params.yaml: expected the parameters, found no readable file; run from the")


def test_an_interrupt_says_that_nothing_is_lost_and_exits_as_a_shell_expects(run, capsys):
    code, _ = run(KeyboardInterrupt())
    assert code == 130
    assert capsys.readouterr().err == ("interrupted; what is finished is kept, the same command goes on from there\n")


def test_a_full_disk_is_one_line(run):
    code, _ = run(OSError(errno.ENOSPC, "No space left on device", "results/x"))
    assert code == (
        "error: results/x: No space left on device; what is finished is kept, mend this and run the same command"
    )
    code, _ = run(OSError(errno.ENOSPC, "No space left on device"))
    assert code.startswith("error: No space left on device; ")


@pytest.mark.parametrize("fault", [ValueError("a fault of ours"), OSError("without a number")])
def test_a_fault_of_ours_keeps_its_traceback(fault, run):
    with pytest.raises(type(fault), match=str(fault)):
        run(fault)


STAGE = """
    import argparse, os, sys, time
    from pathlib import Path
    from stages import run_stage

    def main(arguments, params):
        {body}

    run_stage(main, argparse.ArgumentParser())
"""


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Return a starter of a real process whose stage runs the given line; it says ``ready`` when it gets there."""
    (tmp_path / "params.yaml").write_text(PARAMS)

    def start_process(body: str, **options: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(STAGE).format(body=body)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    return start_process


def test_a_process_that_is_interrupted_ends_at_once_with_one_line(start):
    process = start(
        "print('ready', flush=True); time.sleep(60)",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert errors.splitlines() == ["interrupted; what is finished is kept, the same command goes on from there"]


def test_a_process_that_may_write_no_more_ends_with_one_line(start):
    process = start(
        "Path('out').write_bytes(bytes(100_000))",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors.startswith("error: File too large; what is finished is kept")
    assert errors.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
def test_a_stage_ends_with_the_process_that_started_it(start, tmp_path):
    parent = start(
        # The stage is a child of this stage, which is killed.
        "os.fork() or (run_stage(lambda a, p: (print(os.getpid(), flush=True), time.sleep(60)), "
        "argparse.ArgumentParser())); time.sleep(60)"
    )
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate(timeout=10)
    for _ in range(100):
        status = Path(f"/proc/{child}/stat")
        if not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        signal.sigtimedwait([], 0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the stage outlived its parent")
