"""What artists get wrong on the way to a clip."""

from types import SimpleNamespace

import torch
from artist import FullCard, GivenNoise, Mistake, mask, picture
from fake_comfyui import FlatVae, NativeModel
from node_runs import bound, motion

from miva_core.bases.library import shipped_folders
from miva_core.bases.tiny.spec import SHIPPED

SQUARE = {"width": 64, "height": 64}
PAINTED = {"render": "latents", "edges": "inside"}
SD15 = "SD 1.5 + AnimateDiff"
WAN = "Wan 2.1 1.3B"
MIRAMO = "MiraMo tiny (built in)"
ANOTHER = (
    "but a whole MIVA adapter was expected: choose one that ComfyUI-MIVA has saved, or its command `convert` made from "
    "a research checkpoint."
)
AGAIN = "but a whole MIVA adapter was expected: get it again."
PAINT = "right-click the picture, open the mask editor and paint over the subject"
OR_CONNECT = f"{PAINT}, or connect Subject Mask."
NO_ALPHA = f"(64×64, what Load Image gives for a picture without a mask): {PAINT}"
NO_MOTION = "No motion acts: the base makes one of its camera moves, which the seed chooses."
NOISE = "below 0 a motion is not reversed, the clip stands still or breaks into noise. Take the opposite motion."
STILL = (
    "The mask of jump_masked marks nothing that moves: it should be white on all of one subject, and black around it."
)
BOX = (
    "The mask of jump_masked is a box: what it holds beside the subject moves, too. Refine it by Subject Mask, by the "
    "command mask with --box and --grabcut, or by drawing."
)
BENDS = (
    "With the mask of jump_masked nothing is left beside the subject for it to move over, so the picture bends: mark "
    "the subject alone, or invert the mask."
)
BACK = "put it back, or choose another one (R refreshes menus)."

ANIMATING = [
    # Files
    Mistake(
        "a LoRA in the folder of motions",
        lambda artist: artist.load(artist.lora()),
        f"{{models}}/miva/lora.safetensors is a LoRA, {ANOTHER}",
    ),
    Mistake(
        "a web page saved in place of a motion",
        lambda artist: artist.load(artist.comfyui.add("miva", "a.safetensors", b"<html>").name),
        f"{{models}}/miva/a.safetensors is a text file, {ANOTHER}",
    ),
    Mistake(
        "a download that broke off",
        lambda artist: artist.load(
            artist.comfyui.add("miva", "a.safetensors", (SHIPPED / "jump.safetensors").read_bytes()[:9999]).name
        ),
        f"{{models}}/miva/a.safetensors is a truncated safetensors file, {AGAIN}",
    ),
    Mistake(
        "a motion that a newer release has made",
        lambda artist: artist.load(artist.changed("a.safetensors", format_version=3)),
        "{models}/miva/a.safetensors is a MIVA adapter that cannot be used: its format version is 3, and this "
        "ComfyUI-MIVA reads up to 2; update it.",
    ),
    Mistake(
        "a motion deleted since it was chosen",
        lambda artist: artist.load("gone.safetensors"),
        "The MIVA adapter 'gone.safetensors' is no longer in {models}/miva or "
        f"{' or '.join(map(str, shipped_folders()))}: {BACK}",
    ),
    Mistake(
        "a motion deleted between Load MIVA and the sampler",
        lambda artist: artist.sample(artist.deleted()),
        "The file mine.safetensors is gone from {models}/miva: put it back, or choose another one.",
    ),
    Mistake(
        "a checkpoint deleted between two runs",
        lambda artist: artist.base(SD15, checkpoint="sd15.safetensors", motion_module="mm.ckpt"),
        f"The checkpoint 'sd15.safetensors' is no longer in {{models}}/checkpoints: {BACK}",
    ),
    Mistake(
        "a base without any files for it",
        lambda artist: artist.base(SD15, checkpoint="no file in models/checkpoints", motion_module="mm.ckpt"),
        "There is no checkpoint in {models}/checkpoints: put one there, press R, and choose it.",
    ),
    Mistake(
        "a Wan model deleted between two runs",
        lambda artist: artist.base(WAN, diffusion_model="wan.safetensors", vae="vae.safetensors"),
        f"The Wan model 'wan.safetensors' is no longer in {{models}}/diffusion_models: {BACK}",
    ),
    Mistake(
        "a motion in the folder of checkpoints",
        lambda artist: artist.base(
            SD15,
            checkpoint=artist.comfyui.add("checkpoints", "jump.safetensors", SHIPPED / "jump.safetensors").name,
            motion_module=artist.comfyui.add("animatediff_models", "mm.ckpt", b"any").name,
        ),
        "{models}/checkpoints/jump.safetensors is a MIVA adapter, but a Stable Diffusion 1.5 checkpoint was expected, "
        "such as v1-5-pruned-emaonly.safetensors from huggingface.co/stable-diffusion-v1-5.",
    ),
    Mistake(
        "a motion in the folder of SAM 2",
        lambda artist: artist.find(
            {
                "method": "box",
                "box": "1,1,20,20",
                "segmenter": artist.comfyui.add("sam2", "jump.safetensors", SHIPPED / "jump.safetensors").name,
            }
        ),
        "jump.safetensors is a MIVA adapter, not SAM 2. Mend that, or choose another `segmenter`.",
    ),
    # Motions
    Mistake(
        "a motion for another base",
        lambda artist: artist.sample(artist.for_wan()),
        "horse was trained on another base (Wan 2.1 1.3B) than the one that is connected (the built-in U-Net): "
        "choose Wan 2.1 1.3B in Load MIVA Base, or another motion.",
    ),
    Mistake(
        "a motion of the U-Net on the default base",
        lambda artist: artist.sample(artist.load("jump_masked.safetensors")[0], model=artist.base(MIRAMO)[0]),
        "jump_masked was trained on another base (the built-in U-Net) than the one that is connected (the built-in "
        "MiraMo): choose tiny (built in) in Load MIVA Base, or say jump by Motion by Words.",
    ),
    Mistake(
        "a motion of the U-Net that the default base has no word for",
        lambda artist: artist.sample(artist.load("camera_words.safetensors")[0], model=artist.base(MIRAMO)[0]),
        "camera_words was trained on another base (the built-in U-Net) than the one that is connected (the built-in "
        "MiraMo): choose tiny (built in) in Load MIVA Base, or another motion.",
    ),
    Mistake(
        "a motion of the default base on the U-Net",
        lambda artist: artist.sample(artist.load("spiral.safetensors")[0]),
        "spiral was trained on another base (the built-in MiraMo) than the one that is connected (the built-in U-Net): "
        "choose MiraMo tiny (built in) in Load MIVA Base, or another motion.",
    ),
    Mistake(
        "a motion for a base that nobody knows",
        lambda artist: artist.sample(artist.load(artist.changed("odd.safetensors", fingerprint="0123"))[0]),
        "odd was trained on another base (animatediff, 0123) than the one that is connected (the built-in U-Net): "
        "choose its base in Load MIVA Base, or another motion.",
    ),
    Mistake(
        "no motion on a base that needs one",
        lambda artist: artist.sample(model=artist.named("animatediff", text=None)),
        "No motion is connected, and the animatediff base has no text encoder to go by: connect Load MIVA to `mivas`, "
        "and see that it is neither muted nor bypassed.",
    ),
    Mistake(
        "no motion on a base that does without",
        lambda artist: artist.sample(),
        note=NO_MOTION,
    ),
    Mistake(
        "a single motion at twice its weight",
        lambda artist: artist.sample(motion(weight=2.0)),
        note="pan_left runs at the weight 2: it moves more than at 1, and the picture suffers.",
    ),
    Mistake(
        "a weight of 0",
        lambda artist: artist.sample(motion(weight=0.0)),
        note=f"{NO_MOTION}\npan_left has the weight 0 and does nothing.",
    ),
    Mistake(
        "a weight below 0",
        lambda artist: artist.sample(motion(weight=-0.5)),
        note=f"pan_left has the weight -0.5: {NOISE}",
    ),
    Mistake(
        "weights that sum to 2",
        lambda artist: artist.sample(motion("jump", prev=motion())),
        note="The weights sum to 2; a sum of 1 is the most stable: try 0.5, 0.5.",
    ),
    Mistake(
        "weights that sum to 2 in a part of the run",
        lambda artist: artist.sample(motion("jump", end_percent=0.5, prev=motion()), steps=2),
        note="The weights sum to 2; a sum of 1 is the most stable: try 0.5, 0.5.\njump is off at the last step, which "
        "alone decides on the clips of this base: let it act to the end.",
    ),
    Mistake(
        "weights that sum to nothing",
        lambda artist: artist.sample(motion("jump", weight=-1.0, prev=motion())),
        note=f"jump has the weight -1: {NOISE}\nThe weights sum to 0; a sum of 1 is the most stable.",
    ),
    Mistake("weights near 1", lambda artist: artist.sample(motion("jump", weight=0.6, prev=motion(weight=0.6)))),
    Mistake(
        "a masked motion at another weight than 1",
        lambda artist: artist.sample(bound("jump_masked", mask(), weight=0.5)),
        note=f"jump_masked runs at the weight 0.5; masked motions are made for 1.\n{STILL}",
    ),
    Mistake(
        "an end that is not after the start",
        lambda artist: artist.load("jump.safetensors", start_percent=0.6, end_percent=0.6),
        "jump would act from 0.6 to 0.6 of the steps, which is none of them: set end_percent above start_percent.",
    ),
    Mistake(
        "a part of the run that falls between two steps",
        lambda artist: artist.sample(motion(start_percent=0.1, end_percent=0.4), steps=2),
        "The span 0.1 to 0.4 of pan_left holds none of the 2 steps: widen it.",
    ),
    # Masks
    Mistake(
        "a masked motion without a mask",
        lambda artist: artist.sample(motion("jump_masked")),
        "jump_masked is a masked motion without its mask: put Bind Mask to MIVA behind its Load MIVA, and connect a "
        "mask of its subject.",
    ),
    Mistake(
        "the mask of Load Image for a picture without one",
        lambda artist: artist.bind(motion("jump_masked"), torch.zeros(1, 64, 64)),
        f"The mask for jump_masked is empty {NO_ALPHA}, or connect Subject Mask.",
    ),
    Mistake(
        "a mask with nothing on it",
        lambda artist: artist.bind(motion("jump_masked"), torch.zeros(1, 100, 200)),
        f"The mask for jump_masked is empty (200×100): {OR_CONNECT}",
    ),
    Mistake(
        "a mask that is only grey",
        lambda artist: artist.bind(motion("jump_masked"), mask() * 0.5),
        f"The mask for jump_masked is nowhere brighter than half (64×64): {OR_CONNECT}",
    ),
    Mistake(
        "a mask of broken pixels",
        lambda artist: artist.bind(motion("jump_masked"), mask(100, 200) * torch.nan),
        "The mask for jump_masked holds NaN or infinite values: make another one.",
    ),
    Mistake(
        "a mask in values up to 255",
        lambda artist: artist.bind(motion("jump_masked"), mask() * 255),
        "The mask for jump_masked has values from 0 to 255: scale them to 0 … 1.",
    ),
    Mistake(
        "a picture in place of a mask",
        lambda artist: artist.bind(motion("jump_masked"), picture()),
        "The mask for jump_masked has the shape (1, 64, 64, 3), but masks are (height, width) or (masks, height, "
        "width): Convert Image to Mask makes one of a picture.",
    ),
    Mistake(
        "masks of which one is empty",
        lambda artist: artist.bind(motion("jump_masked"), torch.cat([mask(), mask() * 0])),
        f"The mask for jump_masked for picture 2 is empty (64×64, what Load Image gives for a picture without a mask): "
        f"{OR_CONNECT}",
    ),
    Mistake(
        "a mask for a motion that has none",
        lambda artist: artist.bind(motion("jump"), mask()),
        "jump has no mask to bind: put Bind Mask to MIVA right behind the Load MIVA of a masked motion, such as "
        "jump_masked, or connect this one without it.",
    ),
    Mistake(
        "a mask of another size than the picture",
        lambda artist: artist.sample(bound("jump_masked", mask(32, 32))),
        note=f"{BOX}\nThe mask of jump_masked was scaled from 32×32 to the picture's 64×64.",
    ),
    Mistake(
        "a mask of another aspect than the picture",
        lambda artist: artist.sample(bound("jump_masked", mask(32, 96))),
        note=f"{BOX}\nThe mask of jump_masked was stretched, which shifts it off its subject, from 96×32 to the "
        "picture's 64×64.",
    ),
    Mistake(
        "a mask that shrinks to nothing before it is bound",
        lambda artist: artist.bind(motion("jump_masked"), mask(), grow=-60),
        "Nothing of the mask for jump_masked is left after it was edited: undo `grow` or `feather`, or connect "
        "another mask.",
    ),
    Mistake(
        "a mask of what is cropped off",
        lambda artist: artist.sample(bound("jump_masked", mask(64, 256, share=0.2)), picture(64, 256), **SQUARE),
        note=f"{BENDS}\nThe picture was centre-cropped 256×64 to 64×64.\nThe mask of jump_masked shows nothing that is "
        "left at 64×64, so it is taken for the whole frame.",
    ),
    # Pictures
    Mistake(
        "a batch of pictures with masks for another one",
        lambda artist: artist.sample(bound("jump_masked", mask().repeat(3, 1, 1)), picture(count=2)),
        "jump_masked has 3 masks, and the batch has 2 pictures: connect one mask for each picture, or one for all.",
    ),
    Mistake(
        "a picture of one pixel",
        lambda artist: artist.sample(motion(), picture(1, 1)),
        "The picture is 1×1: each side must have at least 8 pixels.",
    ),
    Mistake(
        "a picture with broken pixels",
        lambda artist: artist.sample(motion(), picture() * torch.nan),
        "The picture holds NaN or infinite values: make another one.",
    ),
    Mistake(
        "a picture in values up to 255",
        lambda artist: artist.sample(motion(), torch.full((1, 64, 64, 3), 255.0)),
        "The picture has values from 255 to 255: scale them to 0 … 1.",
    ),
    Mistake(
        "a picture in values down to -1",
        lambda artist: artist.sample(motion(), torch.linspace(-1, 1, 64)[:, None].expand(1, 64, 64, 3)),
        "The picture has values from -1 to 1: scale them to 0 … 1.",
    ),
    Mistake(
        "a picture whose channels come first",
        lambda artist: artist.sample(motion(), picture().movedim(-1, 1)),
        "The picture has the shape (1, 3, 64, 64): (frames, height, width, channels) is needed, with 1 to 4 channels.",
    ),
    Mistake(
        "a batch of clips in place of a picture",
        lambda artist: artist.sample(motion(), picture(count=2)[None].expand(3, -1, -1, -1, -1)),
        "The picture is a batch of 3 clips, of shape (3, 2, 64, 64, 3): connect them one by one.",
    ),
    Mistake(
        "a picture of another aspect",
        lambda artist: artist.sample(motion(), picture(100, 200), **SQUARE),
        note="The picture was centre-cropped 200×100 to 100×100, scaled to 64×64.",
    ),
    Mistake(
        "a picture of another aspect, padded",
        lambda artist: artist.sample(motion(), picture(100, 200), fit="pad", **SQUARE),
        note="The picture was scaled 200×100 to 64×32, padded to 64×64.",
    ),
    Mistake(
        "a picture of 8000 pixels",
        lambda artist: artist.sample(motion(), torch.full((1, 1, 1, 1), 0.5).expand(1, 4000, 8000, 3)),
        note="The longer side of a clip has 1024 pixels, unless another size is asked for.\nThe picture was scaled "
        "8000×4000 to 1024×512.",
    ),
    Mistake(
        "a picture smaller than the base's",
        lambda artist: artist.sample(motion(), picture(48, 32)),
        note="The picture was enlarged: the shorter side of a clip has at least 64 pixels.\nThe picture was "
        "scaled 32×48 to 64×96.",
    ),
    Mistake(
        "a picture of odd sides",
        lambda artist: artist.sample(motion(), picture(65, 97)),
        note="Sides of a clip are even, as videos need them: 96×64.\nThe picture was centre-cropped 97×65 to 96×64.",
    ),
    Mistake(
        "a picture of a few pixels",
        lambda artist: artist.sample(motion(), picture(12, 12)),
        "The picture is 12×12: each side must have at least 16 pixels.",
    ),
    Mistake(
        "a picture as narrow as a ribbon",
        lambda artist: artist.sample(motion(), picture(16, 1600)),
        "The picture, 1600×16, is too narrow for a clip of its own aspect: ask for another size.",
    ),
    Mistake("a grey picture", lambda artist: artist.sample(motion(), picture()[..., :1])),
    # The run
    Mistake("a single step", lambda artist: artist.sample(motion(), steps=1)),
    Mistake(
        "a clip of one frame",
        lambda artist: artist.sample(motion(), frames=1),
        "A clip has at least 2 frames: 1 cannot be made.",
    ),
    Mistake(
        "a length in frames and in seconds",
        lambda artist: artist.sample(motion(), frames=16, duration=4.0),
        "Both 16 frames and a duration of 4 s are asked for: leave one of them out.",
    ),
    Mistake(
        "less than a frame a second",
        lambda artist: artist.sample(motion(), fps=0.5),
        "A clip of 0.5 frames a second cannot be made: choose 1 to 120.",
    ),
    Mistake(
        "a clip that goes on after the motion has ended",
        lambda artist: artist.sample(motion(), frames=0, fps=1.0, duration=4.0),
        note="The motion lasts 2 s: after that the camera goes on at its speed.",
    ),
    Mistake(
        "a clip that is larger than the memory",
        lambda artist: artist.with_memory(10**6).sample(motion(), picture(64, 96, count=3), frames=0),
        "144 frames of 96×64 take 0.0142 GB, and 0.001 GB of memory are free: choose a shorter `duration`, a lower "
        "`fps`, a smaller `width`, or fewer pictures.",
    ),
    Mistake(
        "a painted clip that is larger than the memory",
        lambda artist: artist.with_memory(10**5).sample(motion(), **PAINTED | {"frames": 16}),
        "16 frames of 64×64 take 0.00105 GB, and 0.0001 GB of memory are free: choose fewer `frames`, a smaller "
        "`width`, or fewer pictures.",
    ),
    Mistake(
        "a camera that leaves the picture",
        lambda artist: artist.sample(motion("zoom_out"), frames=0, fps=1.0, duration=60.0, edges="inside"),
        "The camera leaves the picture so far that less than 1 % of its sides could be shown: make the clip shorter, "
        "the motion weaker, or choose the edges 'mirror'.",
    ),
    Mistake(
        "full size of a base that only paints",
        lambda artist: artist.sample(motion(), model=artist.named("wan", predicts_flow=False), render="full"),
        "The wan base predicts no flow, by which a picture could be moved at full size: leave `render` out, or take "
        "'latents'.",
    ),
    Mistake(
        "a rate for frames that the base paints",
        lambda artist: artist.sample(motion(), fps=24.0, **PAINTED),
        note="Frame rate, duration, easing, loop and edges are for clips at full size: this one has the 2 frames, 8 a "
        "second, that its base makes.",
    ),
    Mistake(
        "a painted clip that is too long",
        lambda artist: artist.sample(motion(), **PAINTED | {"frames": 17}),
        "The tiny base makes clips of 2 to 16 frames: 17 cannot be made.",
    ),
    Mistake(
        "a length that Wan cannot make",
        lambda artist: artist.sample(
            motion(), model=artist.named("wan", stride=4, longest=81, predicts_flow=False), frames=16
        ),
        "The wan base makes clips of 4 k + 1 frames: 16 cannot be made, 17 can.",
    ),
    Mistake(
        "a size far from the base's",
        lambda artist: artist.sample(motion(), width=160, **PAINTED),
        note="160×64 is far from the 64×64 that this base was trained on; it may not move.\nThe picture was "
        "centre-cropped 64×64 to 64×26, scaled to 160×64.",
    ),
    Mistake(
        "a width that the base cannot paint",
        lambda artist: artist.sample(motion(), width=72, **PAINTED),
        "The size 72×64 cannot be used: both must be multiples of 16, as in 64×64.",
    ),
    Mistake(
        "a width that no video has",
        lambda artist: artist.sample(motion(), width=5000),
        "The size 5000×5000 cannot be used: each side of a clip must be from 16 to 4096 pixels.",
    ),
    Mistake(
        "a clip of one pixel",
        lambda artist: artist.sample(motion(), width=1, height=1),
        "The size 1×1 cannot be used: each side of a clip must be from 16 to 4096 pixels.",
    ),
    Mistake(
        "an odd width",
        lambda artist: artist.sample(motion(), width=81, height=48),
        note="Sides of a clip are even, as videos need them: 80×48.\nThe picture was centre-cropped 64×64 to 64×38, "
        "scaled to 80×48.",
    ),
    Mistake(
        "a card that is full",
        lambda artist: artist.sample(motion(), model=artist.named("tiny", codec=FullCard())),
        "The graphics card has run out of memory: close other programs that use it, or choose fewer frames, a smaller "
        "picture or a smaller base. (CUDA out of memory.)",
    ),
    Mistake(
        "levels of noise that rise",
        lambda artist: artist.sample(motion(), sigmas=torch.tensor([0.0, 2.0, 14.6])),
        "The SIGMAS (0, 2, 14.6 … 14.6) must never rise, and end at 0, or at 0.03 at most: connect a whole schedule, "
        "neither split nor flipped.",
    ),
    Mistake(
        "levels of noise that do not end at 0",
        lambda artist: artist.sample(motion(), sigmas=torch.tensor([14.6, 7.0, 2.0, 1.0])),
        "The SIGMAS (14.6, 7, 2 … 1) must never rise, and end at 0, or at 0.03 at most: connect a whole schedule, "
        "neither split nor flipped.",
    ),
    Mistake(
        "levels of noise of a flow model",
        lambda artist: artist.sample(motion(), sigmas=torch.tensor([1.0, 0.5, 0.0])),
        "The SIGMAS begin at 1, but this base starts from noise, about 14.6: take all of a schedule, made for Stable "
        "Diffusion 1.5, or leave SIGMAS unconnected.",
    ),
    Mistake(
        "no levels of noise",
        lambda artist: artist.sample(motion(), sigmas=torch.tensor([])),
        "The SIGMAS are of shape (0,), expected one number for each step and a 0 at the end.",
    ),
    Mistake(
        "noise of another pack's model",
        lambda artist: artist.sample(motion(), noise=GivenNoise(1, 16, 2, 8, 8)),
        "The start noise is for another model or size, (1, 16, 2, 8, 8) in place of (1, 32, 16, 8, 8): connect DCTInit "
        "Noise with the same Load MIVA Base, or leave `noise` unconnected.",
    ),
    Mistake(
        "noise that was made for another model",
        lambda artist: artist.sample(motion(), noise=artist.noise(NativeModel(), vae=FlatVae())),
        "DCTInit Noise was made for latents of 4 channels, but the sampler's have 32: connect the same model to both, "
        "and its own VAE.",
    ),
    Mistake(
        "noise for a video with sound",
        lambda artist: artist.noise(artist.model).generate_noise({"samples": SimpleNamespace(is_nested=True)}),
        "DCTInit Noise makes noise for video alone, but this latent has sound in it, too: connect Random Noise.",
    ),
    Mistake(
        "noise for a model of ComfyUI's own without its VAE",
        lambda artist: artist.noise(NativeModel()),
        "DCTInit Noise lacks the VAE of this model: connect the one that comes with it to `vae`.",
    ),
]
