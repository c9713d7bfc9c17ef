"""Apply MIVA, Load Motion Module and MIVA Masks on models of a real ComfyUI."""

import gc
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import comfy.model_patcher
import comfy.sd
import comfy.supported_models
import pytest
import torch
from comfyui_miva.miva_core import MIVAConfig, MIVAError
from comfyui_miva.miva_core.adapters.backbone import Backbone
from comfyui_miva.miva_core.bases.wan.sites import wan_backbone
from comfyui_miva.nodes.comfy_bridge.native.plan import KEY, Plan
from torch import Tensor

from nodes import VAEDecode

from .adapters import MASKED, SMALL, random_adapter
from .real_comfyui import MODELS, NODES
from .runs import ksampler, sampler_custom_advanced, text
from .sd15_models import SmallSD15
from .wan_models import SmallWan, wan_variant

PICTURE = torch.rand(1, 50, 80, 3, generator=torch.Generator().manual_seed(3))
CPU = torch.device("cpu")


def saved(backbone: Backbone, name: str, config: MIVAConfig = SMALL, seed: int = 0) -> str:
    """The name in menus of a motion that was put into the folder of motions."""
    adapter, path = random_adapter(backbone, config, seed), Path(MODELS, "miva", f"{name}.safetensors")
    path.parent.mkdir(exist_ok=True)
    adapter.save(path, adapter.info(motion=name, frames=16, size=(64, 64), fps=8.0))
    return path.name


def motion(name: str, **settings: Any) -> Any:
    """MIVA_STACK from Load MIVA."""
    values = {"weight": 1.0, "start_percent": 0.0, "end_percent": 1.0} | settings
    return NODES["MIVALoad"].execute(miva_name=name, **values)[0]


def subject() -> Tensor:
    """MASK: a box in the picture."""
    mask = torch.zeros(1, *PICTURE.shape[1:3])
    mask[:, 10:40, 20:50] = 1
    return mask


def applied(model: Any, vae: Any, mivas: Any, **settings: Any) -> tuple[Any, Any, Any, dict[str, Any]]:
    usual = {"image": PICTURE, "width": 64, "height": 48, "length": 9, "fit": "crop", "dct_init": True, "adain": True}
    return NODES["MIVAApply"].execute(model=model, vae=vae, mivas=mivas, **usual | settings).args


def run(model: Any, positive: Any, negative: Any, latent: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return ksampler(model, latent, positive, negative=negative, **{"steps": 2} | settings)


def plan_of(model: Any) -> Plan:
    return model.get_attachment(KEY)


@pytest.fixture(scope="module")
def with_motion(sd15: SmallSD15) -> Any:
    """MODEL: Stable Diffusion 1.5 from Load Motion Module."""
    return put_in(sd15, "v3")(sd15.model)


def put_in(sd15: SmallSD15, version: str) -> Callable[[Any], Any]:
    folder = Path(MODELS, "animatediff_models")
    folder.mkdir(exist_ok=True)
    shutil.copy(sd15.motion(version), folder)
    return lambda model: NODES["MIVAMotionModule"].execute(model=model, motion_module=f"{version}.safetensors")[0]


@pytest.fixture(scope="module")
def of_sd15(sd15: SmallSD15) -> Backbone:
    return sd15.base("v3").backbone


def test_a_clip_of_wan_begins_with_the_picture(wan: SmallWan, wan_vae: Any) -> None:
    model, *rest, latent = applied(wan.model, wan_vae, motion(saved(wan.backbone, "pan")))
    assert latent.keys() == {"samples"} and latent["samples"].shape == (1, 16, 3, 6, 8) and not latent["samples"].any()
    clip = run(model, *rest, latent)["samples"]
    # Of 80×50 the middle 67×50 has the aspect of 64×48.
    fitted = torch.nn.functional.interpolate(
        PICTURE[:, :, 6:73].movedim(-1, 1), (48, 64), mode="bicubic", antialias=True
    ).clamp(0, 1)
    assert torch.equal(clip[:, :, :1], wan_vae.encode(fitted.movedim(1, -1)))
    assert clip.isfinite().all() and plan_of(wan.model) is None
    still = run(wan.model, *rest, latent)["samples"]
    assert (clip[:, :, 1:] - still[:, :, 1:]).abs().max() > 0.1


def test_a_clip_of_sd15_begins_with_the_picture(
    with_motion: Any, sd15: SmallSD15, of_sd15: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    mivas = motion(saved(of_sd15, "pan15"))
    model, *rest, latent = applied(with_motion, sd15.vae, mivas, length=6, fit="pad")
    assert latent["samples"].shape == (6, 4, 6, 8) and not latent["samples"].any()
    clip = run(model, *rest, latent)["samples"]
    assert clip.shape == (6, 4, 6, 8) and torch.equal(clip[:1], plan_of(model).picture[:, :, 0])
    assert not torch.equal(clip[:1], run(with_motion, *rest, latent)["samples"][:1])


def test_what_is_left_at_0_is_as_the_models_were_trained(wan: SmallWan, wan_vae: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(
        wan_vae, "encode", lambda pictures: torch.zeros(1, 16, 1, *(n // 8 for n in pictures.shape[1:3]))
    )
    latent = applied(wan.model, wan_vae, motion(saved(wan.backbone, "pan")), width=0, height=0, length=0)[3]
    assert latent["samples"].shape == (1, 16, 5, 60, 104)


def test_without_a_prompt_there_is_silence(
    wan: SmallWan, wan_vae: Any, with_motion: Any, sd15: Any, of_sd15: Any
) -> None:
    """What the pack itself feeds these models, and no text encoder is needed."""
    for model, vae, backbone, shape in (
        (wan.model, wan_vae, wan.backbone, (1, 1, 4096)),
        (with_motion, sd15.vae, of_sd15, (1, 77, 768)),
    ):
        for conditioning in applied(model, vae, motion(saved(backbone, "silent")))[1:3]:
            ((tensor, extra),) = conditioning
            assert tensor.shape == shape and not tensor.any() and extra == {"miva_no_prompt": True}


def test_a_prompt_is_handed_on_and_heard_for_what_the_weights_leave(wan: SmallWan, wan_vae: Any) -> None:
    name, positive, negative = saved(wan.backbone, "pan"), text(1), text(2)
    clips: dict[tuple[float, bool], Tensor] = {}
    for weight in (1.0, 0.6):
        for heard in (False, True):
            prompts = {"positive": positive, "negative": negative} if heard else {}
            model, *given, latent = applied(wan.model, wan_vae, motion(name, weight=weight), **prompts)
            assert not heard or (given[0] is positive and given[1] is negative)
            clips[weight, heard] = run(model, *given, latent, cfg=3.0)["samples"]
    assert torch.equal(clips[1.0, False], clips[1.0, True])
    assert (clips[0.6, False] - clips[0.6, True]).abs().max() > 0.05


def test_an_adapter_keeps_its_patcher(wan: SmallWan, wan_vae: Any, caplog: pytest.LogCaptureFixture) -> None:
    """ComfyUI warns of a leak where a network gets a second one."""
    name = saved(wan.backbone, "kept")
    with caplog.at_level(logging.WARNING):
        models = [applied(wan.model, wan_vae, motion(name, weight=weight))[0] for weight in (1.0, 0.5, 1.0)]
        patchers = [plan_of(model).motions[0].patcher for model in models]
        assert patchers[0] is patchers[1] is patchers[2]
        assert type(patchers[0].model).__name__ == "MIVANetwork"
        assert models[0].get_additional_models_with_key(KEY) == [patchers[0]]
        for model in models:
            run(model, *applied(wan.model, wan_vae, motion(name))[1:])
        del models, model
        gc.collect()
        run(*applied(wan.model, wan_vae, motion(name, weight=0.9)))
    assert "leak" not in caplog.text


def test_two_in_a_row_are_one_plan(wan: SmallWan, wan_vae: Any) -> None:
    names = [saved(wan.backbone, f"part {k}", seed=k) for k in (0, 1)]
    first = motion(names[0], weight=0.3)
    chained = applied(applied(wan.model, wan_vae, first)[0], wan_vae, motion(names[1], weight=0.7))
    stacked = applied(wan.model, wan_vae, motion(names[1], weight=0.7, prev=first))
    assert [one.name for one in plan_of(chained[0]).motions] == ["part 0", "part 1"]
    assert torch.equal(run(*chained)["samples"], run(*stacked)["samples"])


def test_a_clip_of_wan_goes_on_from_the_last_frame(wan: SmallWan, wan_vae: Any) -> None:
    mivas = motion(saved(wan.backbone, "pan"))
    before = run(*applied(wan.model, wan_vae, mivas))
    frames = VAEDecode().decode(wan_vae, before)[0]
    assert frames.shape == (9, 48, 64, 3)
    model, *rest, latent = applied(wan.model, wan_vae, mivas, previous=before, width=0, height=0)
    assert torch.equal(plan_of(model).picture, wan_vae.encode(frames[-1:]))
    assert latent["samples"].shape == before["samples"].shape
    assert torch.equal(run(model, *rest, latent)["samples"][:, :, :1], plan_of(model).picture)


def test_a_clip_of_sd15_goes_on_from_the_last_latent(with_motion: Any, sd15: SmallSD15, of_sd15: Backbone) -> None:
    mivas = motion(saved(of_sd15, "pan15"))
    before = run(*applied(with_motion, sd15.vae, mivas, length=6))
    after = run(*applied(with_motion, sd15.vae, mivas, previous=before, length=4, width=0, height=0))
    assert torch.equal(after["samples"][:1], before["samples"][-1:])


@pytest.mark.parametrize("kind", ["wan", "sd15"])
def test_masks_are_made_with_the_clip(kind: str, request: pytest.FixtureRequest) -> None:
    if kind == "wan":
        small = request.getfixturevalue("wan")
        model, vae, backbone = small.model, request.getfixturevalue("wan_vae"), small.backbone
    else:
        model, backbone = (request.getfixturevalue(name) for name in ("with_motion", "of_sd15"))
        vae = request.getfixturevalue("sd15").vae
    mivas = motion(saved(backbone, f"jump {kind}", MASKED))
    bound = NODES["MIVABindMask"].execute(mivas=mivas, mask=subject(), grow=0, feather=0)[0]
    made = applied(model, vae, bound)
    for clip in (run(*made), sampler_custom_advanced(made[0], made[3], made[1])[0]):
        (masks,) = NODES["MIVAMasks"].execute(latent=clip).args
        assert masks.shape == (9, 48, 64) and masks.amin() >= 0 and masks.amax() <= 1
        # The picture is scaled to 76.8×48 and cropped by 6.4 on both sides.
        assert masks[0, 20:30, 20:35].amin() > 0.9 and masks[0, :, 48:].amax() < 0.1
    unmasked = run(*applied(model, vae, motion(saved(backbone, f"plain {kind}"))))
    with pytest.raises(MIVAError, match="no masked motion"):
        NODES["MIVAMasks"].execute(latent=unmasked)
    with pytest.raises(MIVAError, match="not sampled yet"):
        NODES["MIVAMasks"].execute(latent=applied(model, vae, bound)[3])


# What cannot be used, with the whole sentence that is said then


def unet(kind: Any, **changes: Any) -> Any:
    """MODEL with a small U-Net."""
    shape = {
        **{"image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 32, "num_res_blocks": [1, 1]},
        **{"channel_mult": (1, 1), "context_dim": 768, "num_heads": 2, "transformer_depth": [1, 1]},
        **{"transformer_depth_output": [1] * 4, "transformer_depth_middle": 1, "num_head_channels": -1},
        **{"use_spatial_transformer": True, "legacy": False, "adm_in_channels": None, "dtype": torch.float32},
        **{"use_linear_in_transformer": False, "use_temporal_attention": False},
    }
    return made(kind(shape | changes))


def made(config: Any) -> Any:
    config.set_inference_dtype(torch.float32, None)
    return comfy.model_patcher.ModelPatcher(config.get_model({}, device=CPU), CPU, CPU)


def sdxl() -> Any:
    return unet(comfy.supported_models.SDXL, context_dim=2048, adm_in_channels=2816, num_classes="sequential")


def sd2() -> Any:
    return unet(comfy.supported_models.SD20, context_dim=1024)


def flux() -> Any:
    shape = {
        **{"image_model": "flux", "in_channels": 16, "out_channels": 16, "patch_size": 2, "vec_in_dim": 8},
        **{"context_in_dim": 8, "hidden_size": 32, "mlp_ratio": 4.0, "num_heads": 2, "depth": 1},
        **{
            "depth_single_blocks": 1,
            "axes_dim": [4, 6, 6],
            "theta": 10000,
            "qkv_bias": True,
            "guidance_embed": False,
            "txt_ids_dims": [],
        },
    }
    return made(comfy.supported_models.Flux({**shape, "dtype": torch.float32}))


WORKS_ON = "Apply MIVA works on Wan and on Stable Diffusion 1.5 with a motion module, but this MODEL is"
LOAD = "load another model, or use MIVA Sampler with a base of Load MIVA Base."


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (sdxl, f"{WORKS_ON} SDXL: {LOAD}"),
        (sd2, f"{WORKS_ON} SD20: {LOAD}"),
        (flux, f"{WORKS_ON} Flux: {LOAD}"),
        (lambda: comfy.sd.CLIP(no_init=True), f"{WORKS_ON} CLIP: {LOAD}"),
        (
            lambda: wan_variant("causal"),
            "This Wan makes its frames one after the other, while a motion needs all of them at once: load a Wan model "
            "that is not autoregressive.",
        ),
        (
            lambda: wan_variant("5b"),
            "Wan 2.2 5B is not supported yet: it is shown its first frame without noise at a step of its own, and "
            "there are no motions trained that way. Load Wan 2.1, or Wan 2.2 14B.",
        ),
    ],
    ids=["SDXL", "SD 2", "Flux", "no MODEL", "autoregressive Wan", "Wan 2.2 5B"],
)
def test_a_model_on_which_motions_cannot_act(model: Callable[[], Any], error: str, wan: SmallWan, wan_vae: Any) -> None:
    with pytest.raises(MIVAError, match=f"^{re.escape(error)}$"):
        applied(model(), wan_vae, motion(saved(wan.backbone, "pan")))


def test_stable_diffusion_needs_one_motion_module(sd15: SmallSD15, with_motion: Any, of_sd15: Backbone) -> None:
    mivas = motion(saved(of_sd15, "pan15"))
    with pytest.raises(
        MIVAError, match=r"^This MODEL makes no clips: put Load Motion Module between it and Apply MIVA"
    ):
        applied(sd15.model, sd15.vae, mivas)
    with pytest.raises(MIVAError, match=r"^The MODEL has a motion module already: connect the MODEL from before"):
        put_in(sd15, "v2")(with_motion)
    twice = with_motion.clone()
    twice.set_additional_models("another pack's", twice.get_additional_models())
    with pytest.raises(MIVAError, match=r"^This MODEL has more than one motion model"):
        applied(twice, sd15.vae, mivas)
    with pytest.raises(MIVAError, match=r"^The MODEL is SDXL, but motion modules need Stable Diffusion 1\.5"):
        put_in(sd15, "v3")(sdxl())


def test_a_motion_module_has_positions_for_so_many_frames(sd15: SmallSD15, with_motion: Any, of_sd15: Backbone) -> None:
    mivas = motion(saved(of_sd15, "pan15"))
    applied(with_motion, sd15.vae, mivas, length=32)
    error = r"^33 frames are more than the 32 that this motion module has positions for: set `length` lower"
    with pytest.raises(MIVAError, match=error):
        applied(with_motion, sd15.vae, mivas, length=33)
    with pytest.raises(MIVAError, match=r"^25 frames are more than the 24"):
        applied(put_in(sd15, "v1")(sd15.model), sd15.vae, mivas, length=25)


def test_another_vae_is_told(wan: SmallWan, wan_vae: Any, with_motion: Any, sd15: SmallSD15, of_sd15: Backbone) -> None:
    of_wan, of_unet = motion(saved(wan.backbone, "pan")), motion(saved(of_sd15, "pan15"))
    with pytest.raises(MIVAError, match=r"^The VAE makes latents of 4 channels, but this model takes 16: connect"):
        applied(wan.model, sd15.vae, of_wan)
    with pytest.raises(MIVAError, match=r"^The VAE makes latents of 16 channels, but this model takes 4: connect"):
        applied(with_motion, wan_vae, of_unet)
    with pytest.raises(MIVAError, match=r"^`vae` was given a CLIP, which is no VAE: connect Load VAE"):
        applied(wan.model, comfy.sd.CLIP(no_init=True), of_wan)
    with pytest.raises(MIVAError, match=r"^What is connected to `vae` holds no VAE, as a checkpoint without one"):
        applied(wan.model, comfy.sd.VAE(sd={}), of_wan)


def test_a_motion_of_another_base_is_told(wan: SmallWan, wan_vae: Any) -> None:
    other = motion(saved(wan_backbone(1536, 12, 30, 16), "horse", MIVAConfig.default()))
    with pytest.raises(MIVAError, match=r"^horse was trained on another base \(Wan 2\.1 1\.3B\) than the one that is"):
        applied(wan.model, wan_vae, other)


def test_a_clip_of_another_model_cannot_go_on(
    wan: SmallWan, wan_vae: Any, with_motion: Any, sd15: Any, of_sd15: Any
) -> None:
    of_wan, of_unet = motion(saved(wan.backbone, "pan")), motion(saved(of_sd15, "pan15"))
    clips = {"wan": {"samples": torch.ones(1, 16, 3, 6, 8)}, "unet": {"samples": torch.ones(6, 4, 6, 8)}}
    with pytest.raises(MIVAError, match=r"^`previous` has the shape \(6, 4, 6, 8\), which is no clip of this model"):
        applied(wan.model, wan_vae, of_wan, previous=clips["unet"])
    with pytest.raises(
        MIVAError, match=r"^`previous` has the shape \(1, 16, 3, 6, 8\), which is no clip of this model"
    ):
        applied(with_motion, sd15.vae, of_unet, previous=clips["wan"])
