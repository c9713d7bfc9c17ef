"""Run by ComfyUI's Python: DCTInit Noise in SamplerCustomAdvanced, with a Wan model of ComfyUI's own, random and small.

Prints as JSON what the test beside it compares.
"""

import asyncio
import importlib.util
import json
import sys
import tempfile

import torch

COMFYUI, ROOT = sys.argv[1:3]
sys.path.insert(0, COMFYUI)
from comfy.cli_args import args  # noqa: E402

args.cpu = True

import comfy.latent_formats  # noqa: E402
import comfy.ldm.wan.model  # noqa: E402
import comfy.ldm.wan.vae  # noqa: E402
import comfy.ops  # noqa: E402
import comfy.samplers  # noqa: E402
import comfy.sd  # noqa: E402
import folder_paths  # noqa: E402
from comfy_extras.nodes_custom_sampler import Guider_Basic, SamplerCustomAdvanced  # noqa: E402

import nodes  # noqa: E402, F401 (the order in which ComfyUI's modules can be imported)


def random_weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: 0.05 * torch.randn(value.shape, generator=generator) for name, value in module.state_dict().items()}


def load_pack():
    folder = tempfile.mkdtemp()
    folder_paths.models_dir = folder
    folder_paths.set_input_directory(folder)
    spec = importlib.util.spec_from_file_location("pack", f"{ROOT}/__init__.py", submodule_search_locations=[ROOT])
    pack = sys.modules["pack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    extension = asyncio.run(pack.comfy_entrypoint())
    asyncio.run(extension.on_load())
    return {kind.__name__: kind for kind in asyncio.run(extension.get_node_list())}


def main() -> None:
    torch.manual_seed(0)
    kinds = load_pack()
    wan = comfy.ldm.wan.model.WanModel(
        dim=128, ffn_dim=128, num_heads=1, num_layers=1, text_dim=4096, operations=comfy.ops.disable_weight_init
    )
    model = comfy.sd.load_diffusion_model_state_dict(random_weights(wan))
    vae = comfy.sd.VAE(sd=random_weights(comfy.ldm.wan.vae.WanVAE(dim=8, z_dim=16)))
    picture = torch.rand(1, 96, 128, 3)
    empty = {"samples": torch.zeros(1, 16, 3, 8, 8)}
    with torch.inference_mode():
        settings = {"dct": True, "cutoff": 0.5, "shape": "rect", "low_band": "own", "shared_noise": 0.0, "fit": "crop"}
        dct = kinds["MIVADCTInitNoise"]
        held = dct.execute(model=model, image=picture, noise_seed=7, strength=1.0, vae=vae, **settings)[0]
        noise = held.generate_noise(empty)
        square = picture[:, :, 16:112].permute(0, 3, 1, 2)
        small = torch.nn.functional.interpolate(square, (64, 64), mode="bicubic", antialias=True).clamp(0, 1)
        latent = model.get_model_object("latent_format").process_in(vae.encode(small.permute(0, 2, 3, 1)))
        guider = Guider_Basic(model)
        guider.set_conds([[torch.zeros(1, 8, 4096), {}]])
        sampler = comfy.samplers.sampler_object("euler")
        outputs = [
            SamplerCustomAdvanced.execute(held, guider, sampler, torch.tensor([1.0, 0.5, 0.0]), empty)[0]["samples"]
            for _ in range(2)
        ]
    report = {
        "noise": noise[0, :, 1:].tolist(),
        "latent": latent[0, :, 0].tolist(),
        "shape": list(outputs[0].shape),
        "finite": bool(outputs[0].isfinite().all()),
        "same": bool(torch.equal(*outputs)),
    }
    print(json.dumps(report))


main()
