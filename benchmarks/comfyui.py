"""Figures of the pack in a real ComfyUI on the processor: start, first and second clip, 200 prompts, import.

    COMFYUI_PATH=…/ComfyUI python -m benchmarks.comfyui [--prompts 200]

Needs what tests/comfyui needs, but no browser. Writes benchmarks/results/comfyui.md.
"""

import argparse
import json
import os
import platform
import subprocess
import time
import urllib.request
from pathlib import Path

from tests.comfyui.prompts import MIRAMO, animate
from tests.comfyui.server import COMFYUI_PATH, PYTHON, Prompt, Server, node

RESULTS = Path(__file__).parent / "results" / "comfyui.md"
SETTLED = 20
"""Prompts after which memory is first read: allocators and caches have filled by then."""
# What ComfyUI has loaded before it comes to packs; then this one, its pictures laid out, with all its schemas.
IMPORT = """
import asyncio, importlib.util, sys, tempfile, time
sys.path.insert(0, {comfyui!r})
from comfy.cli_args import args
args.cpu = True
import torch, folder_paths, comfy.model_management, comfy.utils, comfy_api.v0_0_2
folder = tempfile.TemporaryDirectory()
folder_paths.models_dir = folder.name
folder_paths.set_input_directory(folder.name)
before = set(sys.modules)
began = time.perf_counter()
spec = importlib.util.spec_from_file_location("pack", {root!r} + "/__init__.py", submodule_search_locations=[{root!r}])
pack = sys.modules["pack"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
extension = asyncio.run(pack.comfy_entrypoint())
asyncio.run(extension.on_load())
for kind in asyncio.run(extension.get_node_list()):
    kind.GET_SCHEMA()
print(time.perf_counter() - began, *sorted({{name.split(".")[0] for name in set(sys.modules) - before}} - {{"pack"}}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=200)
    options = parser.parse_args()
    seconds, packages = import_cost()
    server = Server()
    try:
        first, second = server.run(clip(1)), server.run(clip(2))
        assert first.status == second.status == "success", (first.error, second.error)
        early, late, failed = many(server, options.prompts)
    finally:
        server.stop()
    rows = [
        ("start of ComfyUI until it answers", f"{server.start_seconds:.1f} s", ""),
        ("first clip, from the prompt to both files", f"{first.seconds:.1f} s", "5 s"),
        ("both together", f"{server.start_seconds + first.seconds:.1f} s", "60 s"),
        ("second clip, another seed", f"{second.seconds:.1f} s", "15 s"),
        (f"memory after {SETTLED} prompts", f"{early / 2**20:.0f} MB", ""),
        (f"memory after {options.prompts} prompts", f"{late / 2**20:.0f} MB", ""),
        ("growth", f"{(late / early - 1) * 100:+.1f} %", "under 2 %"),
        ("prompts that failed", str(failed), "0"),
        ("import of the pack, beside what ComfyUI has loaded", f"{seconds:.2f} s", "0.3 s"),
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    RESULTS.write_text(
        f"# The pack in ComfyUI {version()}, on {os.cpu_count()} processor cores\n\n"
        f"`python -m benchmarks.comfyui`, Python {platform.python_version()}. The clip is the workflow "
        "`1_one_motion`, 48 frames of 1024×576, as a video and as an animation; memory is what the server's "
        "process holds.\n\n"
        f"| what | measured | goal |\n|---|---|---|\n{table}\n\n"
        f"Packages that the import loads: {', '.join(packages) or 'none'}.\n",
        "utf-8",
    )
    print(RESULTS.read_text("utf-8"))


def clip(seed: int) -> Prompt:
    """The workflow `1_one_motion`, with its two ways to keep a clip."""
    return animate(seed=seed, width=0, fps=0.0) | {
        "base": node("MIVALoadBase", base=MIRAMO),
        "miva": node("MIVASay", text="zoom in", weight=1.0, degree=-1.0),
        "shown": node("CreateVideo", images=["sampler", 0], fps=["sampler", 2]),
        "file": node("SaveVideo", video=["shown", 0], filename_prefix="clip", format="auto", codec="auto"),
        "animation": node(
            "SaveAnimatedWEBP",
            images=["sampler", 0],
            fps=["sampler", 2],
            filename_prefix="clip",
            lossless=False,
            quality=70,
            method="fastest",
        ),
    }


def many(server: Server, count: int) -> tuple[int, int, int]:
    """Bytes held after some prompts and after all, which are queued at once, and how many failed."""
    ids, early = [queue(server, clip(100 + k)) for k in range(count)], 0
    while (done := len(history := server.get("/history?max_items=1000"))) < count + 2:
        if done >= SETTLED + 2 and not early:
            early = resident(server)
        time.sleep(0.1)
    failed = sum(history[one]["status"]["status_str"] != "success" for one in ids)
    time.sleep(2)
    return early, resident(server), failed


def queue(server: Server, prompt: Prompt) -> str:
    body = json.dumps({"prompt": prompt}).encode()
    request = urllib.request.Request(f"{server.url}/prompt", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())["prompt_id"]


def resident(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def import_cost() -> tuple[float, list[str]]:
    """Seconds, the best of three, and the packages that were loaded."""
    program = IMPORT.format(comfyui=COMFYUI_PATH, root=str(Path(__file__).parents[1]))
    runs = [
        subprocess.run([PYTHON, "-c", program], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(3)
    ]
    best = min(runs, key=lambda run: float(run[0]))
    return float(best[0]), [name for name in best[1:] if not name.startswith("_")]


def version() -> str:
    text = (Path(COMFYUI_PATH) / "comfyui_version.py").read_text()
    return text.split('"')[1]


if __name__ == "__main__":
    main()
