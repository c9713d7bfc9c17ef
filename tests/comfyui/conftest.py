"""A real ComfyUI for these tests, if there is one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .server import COMFYUI_PATH, Server

HERE = Path(__file__).parent
REASON = "COMFYUI_PATH does not name a checkout of ComfyUI"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not COMFYUI_PATH:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=REASON))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()
