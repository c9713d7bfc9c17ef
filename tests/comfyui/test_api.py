"""The stub of ComfyUI's node API against the real one, and the nodes as the real one tells of them."""

import json
import subprocess

import numpy as np

from .server import COMFYUI_PATH, PYTHON, ROOT

COMPARE = """
import importlib.util, inspect, json, sys
sys.path.insert(0, {comfyui!r})
import comfy_api.v0_0_2 as real
spec = importlib.util.spec_from_file_location("stub", {stub!r})
stub = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stub)
compared, problems = 0, []
for name, ours in stub.surface().items():
    theirs = real
    for part in name.split("."):
        theirs = getattr(theirs, part, None)
    if theirs is None:
        problems.append(f"{{name}} is not there")
        continue
    wanted = inspect.signature(ours).parameters.values()
    known = inspect.signature(theirs).parameters
    anything = any(one.kind is one.VAR_KEYWORD for one in known.values())
    for one in wanted:
        compared += 1
        if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL) and one.name not in known and not anything:
            problems.append(f"{{name}} takes no {{one.name}}")
print(json.dumps([compared, problems]))
"""


def test_all_that_the_stub_has_is_in_the_real_api() -> None:
    stub = str(ROOT / "tests" / "stubs" / "comfy_api" / "v0_0_2.py")
    program = COMPARE.format(comfyui=COMFYUI_PATH, stub=stub)
    ran = subprocess.run([PYTHON, "-c", program], capture_output=True, text=True, check=True, cwd=COMFYUI_PATH)
    compared, problems = json.loads(ran.stdout.splitlines()[-1])
    assert compared > 50
    assert problems == []


def frequencies(values: np.ndarray) -> np.ndarray:
    """Orthonormal two-dimensional DCT-II of (…, 8, 8), from its definition."""
    k, n = np.arange(8)[:, None], np.arange(8)
    waves = np.sqrt(np.where(k == 0, 1, 2) / 8) * np.cos(np.pi * k * (2 * n + 1) / 16)
    return waves @ values @ waves.T


def test_dct_noise_drives_comfyuis_own_sampler_with_its_own_model() -> None:
    program = str(ROOT / "tests" / "comfyui" / "native_noise.py")
    ran = subprocess.run(
        [PYTHON, program, COMFYUI_PATH, str(ROOT)], capture_output=True, text=True, check=True, cwd=COMFYUI_PATH
    )
    report = json.loads(ran.stdout.splitlines()[-1])
    assert report["shape"] == [1, 16, 3, 8, 8]
    assert report["finite"] and report["same"]
    # At strength 1 the low quarter of frequencies is the picture's own, in each frame.
    noise, latent = np.array(report["noise"]), np.array(report["latent"])
    noise_bands, latent_bands = (frequencies(values) for values in (noise, latent))
    for frame in range(2):
        assert np.allclose(
            noise_bands[:, frame, :4, :4], latent_bands[:, :4, :4], atol=0.02 * np.abs(latent_bands).max()
        )
    assert not np.allclose(noise_bands[:, 0, 4:], noise_bands[:, 1, 4:], atol=0.1)
