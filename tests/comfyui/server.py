"""A throwaway ComfyUI server with this pack in it, and prompts sent to it."""

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMFYUI_PATH = os.environ.get("COMFYUI_PATH", "")
"""A checkout of ComfyUI. Its requirements and this pack's are installed for `PYTHON`."""
PYTHON = os.environ.get("COMFYUI_PYTHON", sys.executable)
FRONTEND = os.environ.get("COMFYUI_FRONTEND", "")
"""The folder `static` of another release of comfyui-frontend-package than ComfyUI's own, if wanted."""
PACK = "ComfyUI-MIVA"
_PREVIEWS = (1, 4)
"""Kinds of binary messages that carry a picture."""
_OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({}))

Prompt = dict[str, dict[str, Any]]


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    """A node of a prompt; nested inputs are written with two underscores, as in method__prompt."""
    return {"class_type": kind, "inputs": {name.replace("__", "."): value for name, value in inputs.items()}}


@dataclass
class Run:
    """What came of a prompt.

    Attributes:
        status: "success", "error", "interrupted" or "refused".
        outputs: what nodes show, by id. error: of the node that failed.
        executed: ids of nodes in the order they began. cached: ids of nodes that did not run.
        progress: (value, max) in order. previews: their number.
        seconds: until the end. after_interrupt: seconds from the interruption to the end.
    """

    status: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    progress: list[tuple[int, int]] = field(default_factory=list)
    previews: int = 0
    seconds: float = 0.0
    after_interrupt: float = 0.0
    messages: Counter[str] = field(default_factory=Counter)

    @property
    def message(self) -> str:
        """First line of the error that a user reads."""
        return self.error.get("exception_message", "").splitlines()[0]


class Server:
    """Runs ComfyUI on the processor; models, input, output and settings are in a folder that is removed with it."""

    def __init__(self, *arguments: str, pack: Path = ROOT, beside: tuple[Path, ...] = ()) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="comfyui-")
        self.base = Path(self._folder.name)
        for name in ("custom_nodes", "models", "input", "output", "temp", "user"):
            (self.base / name).mkdir()
        (self.base / "custom_nodes" / PACK).symlink_to(pack, target_is_directory=True)
        for other in beside:
            (self.base / "custom_nodes" / other.name).symlink_to(other)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = self.base / "server.log"
        started = time.monotonic()
        command = [PYTHON, "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(port), "--disable-auto-launch"]
        command += ["--base-directory", str(self.base), "--disable-api-nodes", "--preview-method", "auto", *arguments]
        command += ["--front-end-root", FRONTEND] if FRONTEND else []
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=COMFYUI_PATH, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            self._wait_until_ready(started)
        except RuntimeError:
            self.stop()
            raise
        self.start_seconds = time.monotonic() - started
        self.start_log = self.log()

    def _wait_until_ready(self, started: float) -> None:
        while True:
            try:
                self.get("/system_stats")
                return
            except OSError:
                time.sleep(0.2)
            if self.process.poll() is not None or time.monotonic() - started > 180:
                raise RuntimeError(f"ComfyUI did not start:\n{self.log()[-3000:]}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._folder.cleanup()

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def get(self, path: str) -> Any:
        return json.loads(self.read(path))

    def read(self, path: str) -> bytes:
        with _OPEN.open(self.url + path, timeout=60) as answer:
            return answer.read()

    def view(self, shown: dict[str, str]) -> bytes:
        """The file behind an entry of `Run.outputs`."""
        return self.read(f"/view?{urllib.parse.urlencode(shown)}")

    def run(self, prompt: Prompt, interrupt_at: int | None = None, timeout: float = 300) -> Run:
        """Queue a prompt and wait for its end.

        Args:
            interrupt_at: the number of a step of progress at which to press stop.
        """
        return asyncio.run(self._run(prompt, interrupt_at, timeout))

    async def _run(self, prompt: Prompt, interrupt_at: int | None, timeout: float) -> Run:
        import aiohttp

        run, client = Run(), os.urandom(8).hex()
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{self.url}/ws?clientId={client}") as socket:
            await socket.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
            began = time.monotonic()
            async with http.post(f"{self.url}/prompt", json={"prompt": prompt, "client_id": client}) as answer:
                body = await answer.json()
            if answer.status != 200:
                run.status, run.error = "refused", body
                return run
            stopped = 0.0
            while not run.status:
                message = await socket.receive(timeout=timeout)
                _note(run, message, body["prompt_id"])
                if interrupt_at and run.progress and run.progress[-1][0] >= interrupt_at and not stopped:
                    stopped = time.monotonic()
                    async with http.post(f"{self.url}/interrupt", json={"prompt_id": body["prompt_id"]}):
                        pass
            run.seconds = time.monotonic() - began
            run.after_interrupt = time.monotonic() - stopped if stopped else 0.0
        return run


def _note(run: Run, message: Any, prompt_id: str) -> None:
    if isinstance(message.data, bytes):
        run.previews += struct.unpack(">I", message.data[:4])[0] in _PREVIEWS
        return
    content = json.loads(message.data)
    kind, data = content["type"], content["data"]
    if data.get("prompt_id", prompt_id) != prompt_id:
        return
    run.messages[kind] += 1
    if kind == "execution_cached":
        run.cached = list(data["nodes"])
    elif kind == "executing" and data["node"]:
        run.executed.append(data["node"])
    elif kind == "progress":
        run.progress.append((data["value"], data["max"]))
    elif kind == "executed":
        run.outputs[data["node"]] = data["output"]
    elif kind in ("execution_success", "execution_error", "execution_interrupted"):
        run.status, run.error = kind.removeprefix("execution_"), data if kind == "execution_error" else {}
