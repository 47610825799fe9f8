"""A Gradio app around tps_portrait: draw, compare styles, train one. `python app.py` starts it.

Uploads and results live in a temporary folder: each is deleted ten minutes after its last use, the
whole folder when the app stops. A training has a folder of its own that is removed when it ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

from limits import KEEP_SECONDS
from storage import Storage

# Before gradio is imported: it reads these once.
storage = Storage(KEEP_SECONDS)
os.environ["GRADIO_TEMP_DIR"] = str(storage.cache)
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
tempfile.tempdir = str(storage.work)

import gradio as gr  # noqa: E402
from drawing import Studio, draw, preview  # noqa: E402
from limits import (  # noqa: E402
    FEWEST_PICTURES,
    FEWEST_STEPS,
    KEPT,
    MAX_MEGABYTES,
    MAX_MEGAPIXELS,
    MOST_PICTURES,
    MOST_STEPS,
    QUEUE_LENGTH,
    TRAIN_MINUTES,
    UploadError,
    check_training_set,
    read_picture,
)
from training import Progress, TrainingRun  # noqa: E402

from tps_portrait import TPSPortraitError, TPSPortraitPipeline  # noqa: E402

MINE = "my style"
CSS = """
#thumbnails .grid-container { grid-template-columns: repeat(4, 1fr) !important; }
footer { display: none !important; }
"""
HEAD = f"<script>{Path(__file__).with_name('paste.js').read_text('utf-8')}</script>"
INTRO = f"""
# Portraits in real time
Drawn by a network of one million parameters that learned each style from about 100 pictures
(*thin-plate-spline alignment*, arXiv 2211.15549). Draw only people who agree to it.

Nothing is kept: uploads and drawings are deleted {KEPT} after their last use.
Pictures up to {MAX_MEGABYTES} MB and {MAX_MEGAPIXELS} megapixels.
"""
TRAINING = f"""
Give **{FEWEST_PICTURES} to {MOST_PICTURES} pictures of faces in one style**, one face each, looking
more or less ahead. A short run starts from a bundled style and bends it toward yours: enough to see
where it goes, not a finished style. One run at a time, others wait in line; a run ends after
{TRAIN_MINUTES:g} minutes at the latest. Your pictures are deleted when it ends.
"""

studio = Studio()
_cancelled: dict[str, Event] = defaultdict(Event)


def refuse(error: Exception) -> gr.Error:
    """Show a reason without a traceback."""
    return gr.Error(str(error), title="Sorry", duration=12, print_exception=False)


def choose(style: str, mine: TPSPortraitPipeline | None) -> TPSPortraitPipeline:
    """The pipeline of a name in the list of styles."""
    if style == MINE:
        if mine is None:
            raise refuse(UploadError("Your style was cleared. Please train it again."))
        return mine
    return studio.style(style)


def draw_photo(
    photo: str | None,
    style: str,
    strength: float,
    geometry: float,
    mine: TPSPortraitPipeline | None,
) -> tuple[Any, Any]:
    """Draw one picture; returns the pair for the slider and the file in full size."""
    storage.renew(photo)
    try:
        image = read_picture(photo)
        drawing, faces = draw(choose(style, mine), image, strength, geometry)
    except (UploadError, TPSPortraitError) as error:
        raise refuse(error) from None
    if not faces:
        gr.Info("No face was found, so the picture was drawn as a whole.")
    file = storage.result(f"{style.replace(' ', '-')}.png")
    drawing.save(file)
    return (preview(image), preview(drawing)), gr.update(value=str(file), interactive=True)


def redraw(
    photo: str | None,
    style: str,
    strength: float,
    geometry: float,
    mine: TPSPortraitPipeline | None,
) -> tuple[Any, Any]:
    """Draw again after a change; without a photo there is nothing to do."""
    if photo is None:
        return None, gr.update(value=None, interactive=False)
    return draw_photo(photo, style, strength, geometry, mine)


def draw_all(
    photo: str | None, strength: float, geometry: float, mine: TPSPortraitPipeline | None
) -> list[tuple[Any, str]]:
    """Draw one picture in every style."""
    storage.renew(photo)
    names = [*studio.names, *([MINE] if mine is not None else [])]
    try:
        image = preview(read_picture(photo))
        return [(draw(choose(name, mine), image, strength, geometry)[0], name) for name in names]
    except (UploadError, TPSPortraitError) as error:
        raise refuse(error) from None


def pick(event: gr.SelectData) -> str:
    """The style of the thumbnail that was clicked."""
    return studio.names[int(event.index)]


def describe(progress: Progress) -> str:
    """One line about a run."""
    if progress.state == "cancelled":
        return "Cancelled. Your pictures were deleted."
    if progress.state == "late":
        return f"Stopped at the limit of {TRAIN_MINUTES:g} minutes. Try fewer steps."
    if progress.state == "failed":
        return f"The training stopped. {progress.message}"
    if progress.state == "done":
        return f"Done: {progress.step} steps in {progress.seconds:.0f} s."
    if not progress.step:
        return f"Looking for faces in your pictures … {progress.seconds:.0f} s"
    shown = {k: v for k, v in progress.losses.items() if k in ("global", "local", "anchor")}
    losses = ", ".join(f"{name} {value:.2f}" for name, value in shown.items())
    return f"Step {progress.step} of {progress.steps}, {progress.seconds:.0f} s. Losses: {losses}"


def line_up(pictures: list[str] | None, photo: str | None, request: gr.Request) -> None:
    """Keep the pictures of a training that waits in line, where runs may take longer than that."""
    session = request.session_hash or ""
    _cancelled[session].clear()
    storage.hold(session, photo, *(pictures or ()))


def train(
    pictures: list[str] | None,
    base: str,
    steps: float,
    photo: str | None,
    request: gr.Request,
) -> Iterator[tuple[Any, ...]]:
    """Train and report: status, sample sheet, comparison, file, the style, the list of styles."""
    same = (gr.skip(),) * 4
    session = request.session_hash or ""
    cancelled = _cancelled[session]
    storage.renew(photo, *(pictures or ()))
    try:
        files = check_training_set(pictures)
        sample = Path(photo) if photo is not None and Path(photo).is_file() else None
        run = TrainingRun(files, base=base, steps=int(steps), sample=sample)
    except UploadError as error:
        raise refuse(error) from None
    finally:
        storage.release(session)
    with run:
        sheet = None
        for progress in run.follow(cancelled):
            fresh = progress.sheet is not None and progress.sheet != sheet
            sheet = progress.sheet
            shown = str(sheet) if fresh else gr.skip()
            if progress.state == "cancelled":
                cancelled.clear()
            if progress.state != "done":
                yield describe(progress), shown, *same
                continue
            pipe = studio.load(run.style)
            image = preview(read_picture(run.folder / "sample" / "sample.jpg"))
            pair = (image, draw(pipe, image)[0])
            archive = storage.result("my-style.zip")
            shutil.make_archive(str(archive.with_suffix("")), "zip", run.style)
            names = gr.update(choices=[*studio.names, MINE], value=MINE)
            file = gr.update(value=str(archive), interactive=True)
            yield describe(progress), shown, pair, file, pipe, names


def cancel(request: gr.Request) -> None:
    """Ask this visitor's run to stop."""
    _cancelled[request.session_hash or ""].set()


def leave(request: gr.Request) -> None:
    """The page was closed: nobody waits for the run."""
    session = request.session_hash or ""
    storage.release(session)
    if (event := _cancelled.pop(session, None)) is not None:
        event.set()


def build() -> gr.Blocks:
    """Lay the page out."""
    with gr.Blocks(title="tps_portrait") as demo:
        mine = gr.State(None, time_to_live=3600)
        gr.Markdown(INTRO)
        with gr.Tab("Draw"), gr.Row():
            with gr.Column():
                photo = gr.Image(
                    label="Photo: upload, paste or camera",
                    sources=["upload", "webcam", "clipboard"],
                    type="filepath",
                    image_mode=None,
                    height=320,
                    elem_id="photo",
                )
                # Gradio would open the file, and fail with no reason where it is no picture.
                photo.preprocess = lambda payload: payload and payload.path  # type: ignore
                thumbnails = gr.Gallery(
                    studio.thumbnails(),
                    label="Styles",
                    columns=4,
                    height=160,
                    allow_preview=False,
                    interactive=False,
                    elem_id="thumbnails",
                )
                style = gr.Radio(studio.names, value=studio.names[0], label="Style")
                strength = gr.Slider(0, 1, 1, step=0.05, label="Strength: photo to drawing")
                geometry = gr.Slider(
                    0, 1, 0, step=0.05, label="Geometry: toward the style's mean face"
                )
                with gr.Row():
                    go = gr.Button("Draw", variant="primary", elem_id="draw")
                    go_all = gr.Button("All styles", elem_id="draw-all")
            with gr.Column():
                slider = gr.ImageSlider(
                    label="Before and after", interactive=False, elem_id="slider", max_height=640
                )
                download = gr.DownloadButton(
                    "Download at full size", interactive=False, elem_id="download"
                )
                grid = gr.Gallery(label="All styles", columns=2, height="auto", elem_id="grid")
        with gr.Tab("Train your own"):
            gr.Markdown(TRAINING)
            with gr.Row():
                with gr.Column():
                    pictures = gr.File(
                        label=f"{FEWEST_PICTURES} to {MOST_PICTURES} pictures in your style",
                        file_count="multiple",
                        height=260,
                        elem_id="pictures",
                    )
                    base = gr.Radio(studio.names, value=studio.names[0], label="Start from")
                    steps = gr.Slider(FEWEST_STEPS, MOST_STEPS, 200, step=4, label="Steps")
                    with gr.Row():
                        start = gr.Button("Train", variant="primary", elem_id="train")
                        stop = gr.Button("Cancel", variant="stop", elem_id="cancel")
                with gr.Column():
                    status = gr.Markdown("Not started.", elem_id="status")
                    sheet = gr.Image(
                        label="Live sample: photo, aligned example, drawing, cycle",
                        interactive=False,
                        elem_id="sheet",
                    )
                    result = gr.ImageSlider(
                        label="Your style", interactive=False, elem_id="result", max_height=480
                    )
                    archive = gr.DownloadButton("Download the style", interactive=False)

        knobs = [photo, style, strength, geometry, mine]
        shown = [slider, download]
        drawing = {"concurrency_id": "drawing", "concurrency_limit": 1}
        go.click(draw_photo, knobs, shown, api_name="draw", **drawing)
        gr.on(
            [photo.input, style.change, strength.release, geometry.release],
            redraw,
            knobs,
            shown,
            api_visibility="private",
            trigger_mode="always_last",
            **drawing,
        )
        go_all.click(
            draw_all, [photo, strength, geometry, mine], grid, api_name="all_styles", **drawing
        )
        thumbnails.select(pick, None, style, api_visibility="private")
        start.click(line_up, [pictures, photo], None, api_visibility="private", queue=False).then(
            train,
            [pictures, base, steps, photo],
            [status, sheet, result, archive, mine, style],
            api_name="train",
            concurrency_id="training",
            concurrency_limit=1,
        )
        # Said in the page: coming from here it could arrive after the run's own last word.
        stop.click(None, None, status, js="() => 'Stopping …'", api_visibility="private").then(
            cancel, None, None, api_name="cancel", queue=False
        )
        demo.unload(leave)
    return demo


def main() -> None:
    """Serve until stopped; then the temporary folder goes."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    demo = build().queue(max_size=QUEUE_LENGTH)
    storage.watch()
    try:
        demo.launch(max_file_size=f"{MAX_MEGABYTES}mb", css=CSS, head=HEAD, show_error=True)
    finally:
        storage.close()


if __name__ == "__main__":
    main()
