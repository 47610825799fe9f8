"""One measurement of `latency.py`, in a process of its own: prints a JSON line.

Nothing but the runtime is imported before its memory is measured. The argument is a JSON object:
`kind`, `threads`, `budget` (seconds), and what the kind needs.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Call = Callable[[], Any]
Loader = Callable[[], Call]


def main() -> None:
    """Measure what the argument says."""
    job = json.loads(sys.argv[1])
    threads = job["threads"]
    # Some runtimes have a pool that only the number of processors limits.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    load = KINDS[job["kind"]](job)
    before = _memory("VmRSS")
    call = load()
    results = measure(call, job["budget"], job.get("most", 200))
    results["peak_mib"] = round(_memory("VmHWM") - before, 1)
    print(json.dumps(results))


def measure(call: Call, budget: float, most: int) -> dict[str, Any]:
    """Time a call: two to warm up, then as many as the budget of seconds allows, at least three.

    Args:
        call: what to time.
        budget: seconds.
        most: most calls.
    """
    for _ in range(2):
        start = time.perf_counter()
        call()
        if time.perf_counter() - start > budget:
            break
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < most and (len(times) < 3 or time.perf_counter() - begin < budget):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    times.sort()
    return {
        "median_ms": round(1e3 * times[len(times) // 2], 2),
        "p95_ms": round(1e3 * times[min(len(times) - 1, int(0.95 * len(times)))], 2),
        "runs": len(times),
    }


def _memory(field: str) -> float:
    """Resident memory of this process in MiB: `VmRSS` now, `VmHWM` at its highest."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def _array(job: dict[str, Any]) -> Any:
    import numpy as np

    return np.random.default_rng(0).uniform(-1, 1, job["shape"]).astype(np.float32)


def matmul(job: dict[str, Any]) -> Loader:
    """Multiply square float32 matrices: the peak that the processor reaches in PyTorch."""
    import torch

    torch.set_num_threads(job["threads"])

    def load() -> Call:
        a, b = torch.rand(2, job["side"], job["side"]).unbind()
        out = torch.empty_like(a)
        return lambda: torch.mm(a, b, out=out)

    return load


def pytorch(job: dict[str, Any]) -> Loader:
    """A network in PyTorch; `form` is how it is run."""
    import torch

    import tps_portrait

    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    form = job["form"]
    if job["network"]:
        from peers import PEERS
    else:
        generator_class = tps_portrait.StyleGenerator

    def load() -> Call:
        if job["network"]:
            network = PEERS[job["network"]]().eval()
        else:
            network = generator_class.from_pretrained(job["weights"]).float().eval()
        network.requires_grad_(False)
        x = torch.rand(1, 3, job["size"], job["size"]) * 2 - 1
        if form != "eager":
            network = network.fuse()
        if form in ("channels_last", "compile"):
            network = network.to(memory_format=torch.channels_last)
            x = x.to(memory_format=torch.channels_last)
        run = torch.compile(network) if form == "compile" else network

        def call() -> None:
            with torch.inference_mode():
                run(x)

        return call

    return load


def onnxruntime(job: dict[str, Any]) -> Loader:
    """A file in onnxruntime."""
    import onnxruntime as ort

    x = _array(job)

    def load() -> Call:
        options = ort.SessionOptions()
        options.intra_op_num_threads = job["threads"]
        options.log_severity_level = 3
        session = ort.InferenceSession(job["path"], options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda: session.run(None, {name: x})

    return load


def openvino(job: dict[str, Any]) -> Loader:
    """A file in OpenVINO."""
    import openvino as ov

    x = _array(job)

    def load() -> Call:
        settings = {"INFERENCE_NUM_THREADS": job["threads"], "INFERENCE_PRECISION_HINT": "f32"}
        request = ov.compile_model(job["path"], "CPU", settings).create_infer_request()
        return lambda: request.infer([x], share_inputs=True)

    return load


def litert(job: dict[str, Any]) -> Loader:
    """A file in LiteRT with XNNPACK."""
    from ai_edge_litert.interpreter import Interpreter

    x = _array(job)

    def load() -> Call:
        interpreter = Interpreter(job["path"], num_threads=job["threads"])
        interpreter.allocate_tensors()
        entry = interpreter.get_input_details()[0]["index"]

        def call() -> None:
            interpreter.set_tensor(entry, x)
            interpreter.invoke()

        return call

    return load


def executorch(job: dict[str, Any]) -> Loader:
    """A program in ExecuTorch with XNNPACK."""
    import torch
    from executorch.runtime import Runtime

    x = torch.from_numpy(_array(job))

    def load() -> Call:
        method = Runtime.get().load_program(Path(job["path"])).load_method("forward")
        return lambda: method.execute([x])

    return load


def ncnn(job: dict[str, Any]) -> Loader:
    """A file in ncnn."""
    import ncnn as runtime

    x = _array(job)[0]

    def load() -> Call:
        net = runtime.Net()
        net.opt.num_threads = job["threads"]
        net.opt.use_vulkan_compute = False
        net.load_param(job["path"])
        net.load_model(str(Path(job["path"]).with_suffix(".bin")))

        def call() -> None:
            with net.create_extractor() as extractor:
                extractor.input("in0", runtime.Mat(x).clone())
                extractor.extract("out0")

        return call

    return load


def face(job: dict[str, Any]) -> Loader:
    """The whole of face mode on a 720p clip with one face, which is tracked after the first frame.

    `part` is `all`, `track` for the tracking alone, or `detect` for a detection, which a face that
    is tracked needs once in `detect_every` frames.
    """
    import torch

    from tps_portrait import TPSPortraitPipeline
    from tps_portrait.processing import load_photo
    from tps_portrait.video import VideoStylizer

    torch.set_num_threads(job["threads"])
    frames = [load_photo(frame) for frame in clip(job["photo"])]

    def load() -> Call:
        if job["path"]:
            path = Path(job["path"])
            mesh = path.with_name("face-mesh" + path.suffix)
            pipe = TPSPortraitPipeline.from_exported(path, mesh=mesh, threads=job["threads"])
        else:
            pipe = TPSPortraitPipeline.from_pretrained(job["style"])
        stylizer = VideoStylizer(pipe, size=job["frame"], face_size=job["side"], detect_every=10**9)
        state = {"frame": 0}

        def call() -> None:
            index = state["frame"]
            state["frame"] += 1
            # To and fro, as the clip has an end and a face does not jump.
            place = index % (2 * len(frames) - 2)
            photo = frames[min(place, 2 * len(frames) - 2 - place)]
            if job["part"] == "all":
                stylizer.draw(photo, index / 30)
                return
            if job["part"] == "track":
                faces = stylizer.tracker.update(photo.visible(), index / 30)
            else:
                faces = pipe.landmarker.detect([photo.visible()])[0]
            if len(faces) != 1:
                raise RuntimeError(f"{len(faces)} faces are found, and not one")

        return call

    return load


def clip(photo: str, count: int = 12) -> list[Any]:
    """Frames of 1280x720 with one face of about 280 px that moves two pixels a frame.

    Args:
        photo: a portrait.
        count: number of frames.
    """
    from PIL import Image

    with Image.open(photo) as image:
        picture = image.convert("RGB").resize((1304, 1304), Image.Resampling.LANCZOS)
    return [picture.crop((2 * i, 40 + i, 1280 + 2 * i, 760 + i)) for i in range(count)]


KINDS: dict[str, Callable[[dict[str, Any]], Loader]] = {
    "matmul": matmul,
    "pytorch": pytorch,
    "onnx": onnxruntime,
    "openvino": openvino,
    "litert": litert,
    "executorch": executorch,
    "ncnn": ncnn,
    "face": face,
}

if __name__ == "__main__":
    main()
