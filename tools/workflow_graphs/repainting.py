"""The workflow that has Wan paint anew what the motion of a clip brought into view."""

from .controls import frames_of, load_clip, transfer_motion
from .graph import Graph, Node
from .model_files import WAN, WAN_TEXTS, WAN_VAE, as_markdown
from .native_pieces import decode, load_wan, load_wan_vae
from .pieces import load_picture, note, outputs

_SIZE = {"width": 832, "height": 480}


def _prompt(text: str, title: str) -> Node:
    return Node("CLIPTextEncode", {"text": text}, {"clip": ("texts", "CLIP")}, title=title, width=380, height=140)


REPAINTING_GRAPHS: dict[str, Graph] = {
    "17_motion_of_a_clip_natively": Graph(
        [
            {
                "note": note(
                    f"""
## Wan paints what had to be invented

*Transfer Motion* moves your picture as a clip moves, as in **11_motion_of_a_clip**, and says which pixels had to be
invented: what came into view, or where the clip could not be followed. *Set Latent Noise Mask* takes that as its
mask, and *KSampler* at **denoise 0.5** paints there anew, by a prompt. All else stays as it is.

**Files.** ComfyUI offers them when this opens:
{as_markdown(WAN)}
{as_markdown(WAN_VAE)}
{as_markdown(WAN_TEXTS)}

**Try next**
- *Set Latent Noise Mask* bypassed (**Ctrl+B**): all of the clip is painted anew, for light and fine motion that the
flow does not bring
- **denoise** 0.4 keeps closer to what is there, 0.6 is freer
- a clip of yours, of at least 33 frames: Wan takes 4 k + 1, 16 a second

Another video model fits as well: its loaders, size and length in place of these.

**What to expect.** Tested on small models of the same layout; time, memory and looks are not measured on a card.
""",
                    370,
                )
            },
            {"clip": load_clip(), "picture": load_picture("miva_machu_picchu.jpg")},
            {
                "parts": frames_of("clip"),
                "scale": Node(
                    "ImageScale",
                    {"upscale_method": "lanczos", "crop": "center"} | _SIZE,
                    {"image": ("picture", "IMAGE")},
                    width=280,
                ),
            },
            {
                "length": Node(
                    "ImageFromBatch", {"batch_index": 0, "length": 33}, {"image": ("parts", "images")}, width=280
                ),
                "vae": load_wan_vae(),
            },
            {"transfer": transfer_motion(("length", "IMAGE"), ("scale", "IMAGE"))},
            {
                "encode": Node("VAEEncode", {}, {"pixels": ("transfer", "clip"), "vae": ("vae", "VAE")}, width=260),
                # What is beside an invented pixel was stretched; a latent is 8 pixels wide.
                "grow": Node("GrowMask", {"expand": 8}, {"mask": ("transfer", "invented")}, width=260),
                "model": load_wan(),
                "texts": Node(
                    "CLIPLoader", {"clip_name": WAN_TEXTS["name"], "type": "wan"}, width=380, models=[WAN_TEXTS]
                ),
            },
            {
                "masked": Node(
                    "SetLatentNoiseMask",
                    {},
                    {"samples": ("encode", "LATENT"), "mask": ("grow", "MASK")},
                    width=260,
                ),
                "shift": Node("ModelSamplingSD3", {"shift": 5.0}, {"model": ("model", "MODEL")}, width=340),
                "said": _prompt("stone terraces and green mountains, filmed by hand, clear day", "What is to be seen"),
                "not said": _prompt("blurry, stretched, smeared, text", "What is not"),
            },
            {
                "sampler": Node(
                    "KSampler",
                    {
                        **{"seed": 1, "control_after_generate": "fixed", "steps": 30, "cfg": 6.0},
                        **{"sampler_name": "uni_pc", "scheduler": "simple", "denoise": 0.5},
                    },
                    {
                        "model": ("shift", "MODEL"),
                        "positive": ("said", "CONDITIONING"),
                        "negative": ("not said", "CONDITIONING"),
                        "latent_image": ("masked", "LATENT"),
                    },
                    width=340,
                    room=330,
                )
            },
            {"decode": decode("sampler", ("vae", "VAE"))},
            *outputs("motion_of_a_clip_natively", ("decode", "IMAGE"), 16.0),
        ],
        None,
        {
            "Clip and picture": ("clip", "picture", "parts", "scale"),
            "The picture moves": ("length", "vae", "transfer"),
            "What was invented is painted anew": ("encode", "grow", "model", "texts", "masked", "not said", "sampler"),
            "The clip": ("decode", "video", "animation", "file"),
        },
    ),
}
