"""A data set as files: every planned clip rendered, and its annotations beside them."""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from pipeline.core.files import atomic_write
from pipeline.core.processes import begin_worker, num_processors
from pipeline.synthetic import localization, parsing
from pipeline.synthetic.encoding import encode_clip
from pipeline.synthetic.plan import NUM_SEGMENTS, SEGMENT_SECONDS, ClipPlan
from pipeline.synthetic.scene import build_scene, draw_frame, num_frames
from pipeline.synthetic.sound import synthesize_waveform


@dataclass(frozen=True)
class EmbeddedSet:
    """What makes the clips of a task, and writes their labels; see the modules of the tasks."""

    plan_clips: Callable[[int, int], tuple[ClipPlan, ...]]
    write_annotations: Callable[[Path, Sequence[ClipPlan]], None]
    num_clips: int


SETS: Mapping[str, EmbeddedSet] = {
    "localization": EmbeddedSet(localization.plan_clips, localization.write_annotations, localization.NUM_CLIPS),
    "parsing": EmbeddedSet(parsing.plan_clips, parsing.write_annotations, parsing.NUM_CLIPS),
}
"""By task."""


def render_clip(folder: Path, plan: ClipPlan) -> None:
    """Render one clip to ``<folder>/videos/<video_id>.mp4``."""
    media = plan.media
    scene = build_scene(plan)
    count = round(num_frames(media.frame_rate) * media.duration_seconds / (NUM_SEGMENTS * SEGMENT_SECONDS))
    path = folder / "videos" / f"{plan.video_id}.mp4"
    encode_clip(
        path,
        (draw_frame(scene, index) for index in range(count)),
        synthesize_waveform(plan) if media.has_audio else None,
        frame_rate=media.frame_rate,
        pixel_format=media.pixel_format,
        sample_rate_hz=media.sample_rate_hz,
    )
    if media.kept_fraction < 1:
        content = path.read_bytes()
        with atomic_write(path) as temporary:
            temporary.write_bytes(content[: int(media.kept_fraction * len(content))])


def render(
    folder: Path, task: str, *, seed: int = 1, num_clips: int | None = None, num_workers: int | None = None
) -> None:
    """Render the data set of a task: the same bytes for the same seed, whatever the number of workers.

    Parameters
    ----------
    folder : Path
        Gets ``videos/`` and then the annotations, in the layout of AVE (localization) or LLP (parsing).
    task : str
        One of :data:`SETS`.
    seed, num_clips : int
        As for ``plan_clips`` of the task's module; `num_clips` is the embedded data set's own by default.
    num_workers : int, optional
        Processes to render in; by default as many as there are processors, 1 renders in this process.
    """
    chosen = SETS[task]
    plans = chosen.plan_clips(seed, num_clips or chosen.num_clips)
    num_workers = min(num_workers or num_processors(), len(plans))
    finished = _render_clips(folder, plans, num_workers)
    for _ in tqdm(finished, "render", len(plans), unit="clip", disable=None):
        pass
    chosen.write_annotations(folder, plans)


def _render_clips(folder: Path, plans: tuple[ClipPlan, ...], num_workers: int) -> Iterator[ClipPlan]:
    """Render all clips, yielding each plan once its clip is written."""
    if num_workers == 1:
        for plan in plans:
            render_clip(folder, plan)
            yield plan
        return
    pool = ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn"), initializer=begin_worker)
    try:
        tasks = {pool.submit(render_clip, folder, plan): plan for plan in plans}
        for task in as_completed(tasks):
            task.result()
            yield tasks[task]
    finally:
        pool.shutdown(cancel_futures=True)
