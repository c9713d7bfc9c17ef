"""Model files that workflows name, and where the missing-model dialog is sent for them."""

_HUB = "https://huggingface.co"

CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors"
MOTION_MODULE = "mm_sd15_v3.safetensors"
"""v3_sd15_mm.ckpt as safetensors, which the dialog may fetch."""

CHECKPOINT_LINK = {
    "name": CHECKPOINT,
    "url": f"{_HUB}/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/{CHECKPOINT}",
    "directory": "checkpoints",
}
MOTION_MODULE_LINK = {
    "name": MOTION_MODULE,
    "url": f"{_HUB}/conrevo/AnimateDiff-A1111/resolve/main/motion_module/{MOTION_MODULE}",
    "directory": "animatediff_models",
}
