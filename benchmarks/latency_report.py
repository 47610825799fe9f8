"""The page of `latency.py`, from its result file alone."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]

FACE_PARTS = {"track": "tracking alone", "detect": "a detection, every 30th frame, not in the rows"}


def markdown(results: Row) -> str:
    """All results as a page."""
    facts = results["facts"]
    lines = [
        "# Latency",
        "",
        "<!-- not run: measures for minutes -->",
        "```bash",
        facts["command"],
        "```",
        "",
        f"{facts['machine']}; {facts['processors']} processors, load {facts['load']} at the start; "
        f"{facts['versions']}; {facts['seconds']:.0f} s in all. "
        + (f"{facts['note']} " if facts.get("note") else "")
        + "Batch 1, wall clock, median and "
        "95th percentile; each figure from a process of its own with as many processors as "
        "threads. Peak memory is the growth of resident memory from before the model is loaded. "
        "GFLOP/s count two for a multiply-accumulate; the matmul peak is that of "
        "`torch.mm` on 2048x2048 in float32, which int8 may exceed. PSNR compares the file's "
        "drawings with PyTorch's float32.",
        "",
        "Matmul peak: "
        + ", ".join(f"{p['gflops']} GFLOP/s on {p['threads']} thread(s)" for p in results["peak"])
        + ".",
        "",
        "## Goals",
        "",
        *goals(results),
        "",
        "## Networks",
        "",
        "| network | runtime | precision | px | threads | median ms | p95 ms | GFLOP/s | of peak | "
        "memory MiB | file MB | PSNR dB |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in (*results["ours"], *results["peers"]):
        head = f"| {row['network']} | {row['runtime']} | {row['precision']} | {row['size']} |"
        lines.append(head + _figures(row))
    lines += [
        "",
        "## Face mode on 1280x720, one tracked face",
        "",
        "From the frame's pixels to the drawing's: follow the face, place landmarks, crop, draw "
        "crop and frame, paste back, enlarge to 1280x720. The frame is drawn with the given "
        "longest side, the face with the given side. With an exported file, landmarks are placed "
        "by the exported face mesh. PyTorch and the runtime each have as many threads as the "
        "table says.",
        "",
        "| runtime | frame px | face px | threads | median ms | p95 ms | memory MiB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in results["face"]:
        if "median_ms" not in row:
            lines.append(f"| {row.get('runtime', 'PyTorch')} | {_short(row['note'])} |||||||")
            continue
        whole = row["part"] == "all"
        name = row["runtime"] if whole else FACE_PARTS.get(row["part"], row["part"])
        sizes = f"{row['frame']} | {row['side']}" if whole else "- | -"
        lines.append(
            f"| {name} | {sizes} | {row['threads']} | {row['median_ms']:.1f} | "
            f"{row['p95_ms']:.1f} | {row['peak_mib']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def _short(note: str) -> str:
    return " ".join(note.split()).replace("|", "/")[:160]


def _figures(row: Row) -> str:
    if "median_ms" not in row:
        return f" {row.get('threads', '-')} | {_short(row['note'])} |||||||"
    psnr = f"{row['psnr_db']:.1f}" if "psnr_db" in row else "-"
    size = f"{row['file_mb']:.2f}" if "file_mb" in row else "-"
    return (
        f" {row['threads']} | {row['median_ms']:.1f} | {row['p95_ms']:.1f} | {row['gflops']:.0f} | "
        f"{row['peak_share']:.0%} | {row['peak_mib']:.0f} | {size} | {psnr} |"
    )


def goals(results: Row) -> list[str]:
    """What was aimed at, and what this run found."""
    threads = max(row["threads"] for row in results["peak"])
    lines = ["| goal | measured |", "|---|---|"]

    def best(precision: str) -> Row | None:
        found = [
            row
            for row in results["ours"]
            if (row["precision"], row["size"], row.get("threads")) == (precision, 512, threads)
            and "median_ms" in row
        ]
        return min(found, key=lambda row: row["median_ms"], default=None)

    for precision, rate in (("fp32", 30), ("int8", 60)):
        row = best(precision)
        if row:
            fps = 1e3 / row["median_ms"]
            lines.append(
                f"| {rate} frames a second at 512 px, {threads} threads, {precision} | {fps:.0f} "
                f"({row['median_ms']:.1f} ms, {row['runtime']}) |"
            )
    rivals = [r for r in results["peers"] if r["network"] == "AnimeGANv2-type" and r["size"] == 512]
    for rival in rivals:
        ours = [
            row
            for row in results["ours"]
            if row["runtime"] == rival["runtime"]
            and (row["precision"], row["size"]) == ("fp32", 512)
            and row.get("threads") == rival.get("threads")
        ]
        if "median_ms" in rival and ours and "median_ms" in ours[0]:
            times = rival["median_ms"] / ours[0]["median_ms"]
            lines.append(
                f"| 80 times faster than the AnimeGANv2-type net ({rival['runtime']}, "
                f"{rival['threads']} thread(s)) | {times:.0f} times |"
            )
    if rivals and results["ours"]:
        ours_cost = next((r["gmacs"] for r in results["ours"] if r["size"] == 512), None)
        if ours_cost:
            ratio = rivals[0]["gmacs"] / ours_cost
            lines.append(f"| 100 times fewer MACs at 512 px | {ratio:.0f} times |")
    for row in results["face"]:
        if row.get("part") == "all" and row.get("threads") == threads and "median_ms" in row:
            lines.append(
                f"| face mode on 720p under 60 ms ({row['runtime']}, frame {row['frame']} px, face "
                f"{row['side']} px) | {row['median_ms']:.0f} ms |"
            )
    return lines
