"""The data set as files: every planned clip rendered, and its annotations beside them."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from pipeline.core.files import atomic_write, write_text
from pipeline.core.processes import begin_worker, num_processors
from pipeline.synthetic.encoding import encode_clip
from pipeline.synthetic.plan import NUM_SEGMENTS, SEGMENT_SECONDS, SPLITS, ClipPlan, plan_clips
from pipeline.synthetic.scene import build_scene, draw_frame, num_frames
from pipeline.synthetic.sound import synthesize_waveform


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


def render(folder: Path, *, seed: int = 1, num_clips: int = 84, num_workers: int | None = None) -> None:
    """Render the data set: the same bytes for the same seed, whatever the number of workers.

    Parameters
    ----------
    folder : Path
        Gets ``videos/``, ``trainSet.txt``, ``valSet.txt``, ``testSet.txt`` and, last, ``Annotations.txt``.
    seed, num_clips : int
        As for :func:`plan_clips`.
    num_workers : int, optional
        Processes to render in; by default as many as there are processors, 1 renders in this process.
    """
    plans = plan_clips(seed, num_clips)
    num_workers = min(num_workers or num_processors(), num_clips)
    finished = _render_clips(folder, plans, num_workers)
    for _ in tqdm(finished, "render", len(plans), unit="clip", disable=None):
        pass
    for split in SPLITS:
        rows = [f"{plan.annotation}\n" for plan in plans if plan.split == split]
        write_text(folder / f"{split}Set.txt", "".join(rows))
    rows = [f"{plan.annotation}\n" for plan in sorted(plans, key=lambda plan: (plan.category, plan.video_id))]
    write_text(folder / "Annotations.txt", "Category&VideoID&Quality&StartTime&EndTime\n" + "".join(rows))


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
