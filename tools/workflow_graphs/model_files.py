"""Model files that workflows name, and where the missing-model dialog is sent for them."""

_HUB = "https://huggingface.co"
_WAN = f"{_HUB}/Comfy-Org/Wan_2.1_ComfyUI_repackaged/resolve/main/split_files"

Link = dict[str, str]
"""What ComfyUI knows of a file that it does not find: its name, folder and address."""


def _link(directory: str, url: str) -> Link:
    return {"name": url.rpartition("/")[2], "url": url, "directory": directory}


CHECKPOINT = _link(
    "checkpoints", f"{_HUB}/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/v1-5-pruned-emaonly-fp16.safetensors"
)
MOTION_MODULE = _link(
    "animatediff_models", f"{_HUB}/conrevo/AnimateDiff-A1111/resolve/main/motion_module/mm_sd15_v3.safetensors"
)
"""v3_sd15_mm.ckpt as safetensors, which the dialog may fetch."""
WAN = _link("diffusion_models", f"{_WAN}/diffusion_models/wan2.1_t2v_1.3B_fp16.safetensors")
WAN_VAE = _link("vae", f"{_WAN}/vae/wan_2.1_vae.safetensors")
WAN_TEXTS = _link("text_encoders", f"{_WAN}/text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors")
SVD = _link("checkpoints", f"{_HUB}/stabilityai/stable-video-diffusion-img2vid/resolve/main/svd.safetensors")
SVD_XT = _link("checkpoints", f"{_HUB}/stabilityai/stable-video-diffusion-img2vid-xt/resolve/main/svd_xt.safetensors")
"""What SVD became when it was trained on: the same network, for longer clips."""


def as_markdown(link: Link) -> str:
    """An item of a note's list: the file as a link, and its folder."""
    return f"- [{link['name']}]({link['url']}) in **models/{link['directory']}**"
