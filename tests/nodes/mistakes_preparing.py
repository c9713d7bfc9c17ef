"""What artists get wrong when they look for a subject, teach a motion or keep it."""

import torch
from artist import COLOURS, Artist, Mistake, mask, picture
from comfy_api.v0_0_2 import io
from mistakes_animating import BACK, NO_ALPHA, PAINT
from node_runs import motion

DEMO_HINT = (
    "The built-in demo knows only drawn shapes, such as red circle: for all else choose a Grounding DINO model as "
    "`detector`."
)
EMPTY_PROMPT = (
    "The subject prompt is empty. Write one short noun phrase per subject, each ended by a full stop, for example: "
    "horse. rider."
)
LOOK_AGAIN = "Lower the confidence, use a plainer word, or take a picture or frame where the subject is visible."


def masked_clips(artist: Artist) -> io.NodeOutput:
    return artist.clips(masks=[mask(count=4)] * 3)


STILL = "The clip stands still.\nBucket 0 of 0 … 19, dynamics 0.000."

PREPARING = [
    # Measuring
    Mistake(
        "one picture is measured as a clip",
        lambda artist: artist.measure(picture()),
        "The clip is a single frame, and nothing moves in one: give two frames or more.",
    ),
    Mistake(
        "pictures that are no clip are measured",
        lambda artist: artist.measure(torch.rand(3, 64, 64, 3)),
        "No frame of the clip follows the one before: these are single pictures, mere noise, or they move too far at "
        "once. Give the frames of one clip, in order, and more of them a second where they move far.",
    ),
    Mistake(
        "a clip too small to be measured",
        lambda artist: artist.measure(picture(16, 64, count=3)),
        "The clip is 64×16: from 22 pixels a side on its motion can be measured.",
    ),
    Mistake(
        "a mask of another size for a clip",
        lambda artist: artist.measure(picture().expand(3, -1, -1, -1), mask=mask(64, 128)),
        "The mask is 128×64 and the clip 64×64, which is another aspect: give a mask that was made for this clip.",
    ),
    Mistake(
        "masks for another number of frames",
        lambda artist: artist.measure(picture().expand(3, -1, -1, -1), mask=mask(count=2)),
        "There are 2 masks for a clip of 3 frames: give one mask for each frame, or a single one for all.",
    ),
    Mistake(
        "an empty mask for a clip",
        lambda artist: artist.measure(picture().expand(3, -1, -1, -1), mask=mask(share=0)),
        "The mask is nowhere brighter than half, so it selects nothing: make it white on the subject.",
    ),
    Mistake(
        "several pictures for one clip",
        lambda artist: artist.measure(picture().expand(3, -1, -1, -1), picture=picture(count=2)),
        "`picture` is a batch of 2, and a clip begins with one: put Get Image from Batch before it.",
    ),
    Mistake("a clip that stands still", lambda artist: artist.measure(picture().expand(3, -1, -1, -1)), note=STILL),
    Mistake(
        "a clip of one colour",
        lambda artist: artist.measure(torch.full((3, 64, 64, 3), 0.5)),
        note=f"{STILL}\nThe clip is all of one colour, in which no motion can be seen: make sure that it is the right "
        "one.",
    ),
    # Words
    Mistake("no words", lambda artist: artist.words(" "), EMPTY_PROMPT),
    Mistake("no words but full stops", lambda artist: artist.words(". , "), EMPTY_PROMPT),
    Mistake(
        "no words, and a motion that knows none",
        lambda artist: artist.words("", mivas=motion("pan_left")),
        "pan_left does not say what its subject is, and `prompt` is empty: write a noun into it, such as horse.",
    ),
    Mistake(
        "a subject that is not in the picture",
        lambda artist: artist.words("red circle", image=torch.full((1, 96, 96, 3), 0.5)),
        f"No 'red circle' (best score 0.00) was found in frame 0 at confidence 0.30. {LOOK_AGAIN} {DEMO_HINT}",
    ),
    Mistake(
        "a word that the demo does not know",
        lambda artist: artist.words("lemur"),
        f"The detector knows no word of 'lemur': use a plain English noun. {DEMO_HINT}",
    ),
    Mistake(
        "no words, and a motion whose subject the demo does not know",
        lambda artist: artist.words("", mivas=motion("jump_masked")),
        "The detector knows no word of 'object': use a plain English noun. These words are from jump_masked, since "
        f"`prompt` is empty. {DEMO_HINT}",
    ),
    Mistake(
        "a model of words that is none",
        lambda artist: artist.words("horse", detector=artist.comfyui.add("grounding-dino", "a.pth", b"<html>").name),
        "a.pth is not a plain weight file (it holds pickled code or is a web page / git-lfs pointer); nothing from it "
        "was executed. Mend that, or choose another `detector`.",
    ),
    Mistake(
        "a model of words deleted between two runs",
        lambda artist: artist.words("horse", detector="gone.pth"),
        f"The Grounding DINO model 'gone.pth' is no longer in {{models}}/grounding-dino: {BACK}",
    ),
    # Boxes, points and drawings
    Mistake(
        "no box",
        lambda artist: artist.box(""),
        "Nothing says where the subject is: write into `box`, in pixels, 10,20,200,180 for its left, top, right and "
        "bottom edge.",
    ),
    Mistake(
        "a box of three numbers",
        lambda artist: artist.box("10, 20, 30"),
        "The widget `box` cannot be read: '10, 20, 30' is not left,top,right,bottom in pixels.",
    ),
    Mistake(
        "a box in words",
        lambda artist: artist.box("the left half"),
        "The widget `box` cannot be read: 'the left half' is not left,top,right,bottom in pixels.",
    ),
    Mistake(
        "a box beside the picture",
        lambda artist: artist.box("200,200,300,300"),
        "The box 200, 200, 300, 300 covers nothing of the image, which is 96×96: give the left, top, right and bottom "
        "edge in pixels.",
    ),
    Mistake(
        "a box around everything, cut out by colours",
        lambda artist: artist.box("0,0,96,96", segmenter=COLOURS),
        "The box or rough mask covers the whole picture: GrabCut needs some of it inside and some outside.",
    ),
    Mistake(
        "a clip cut out by colours",
        lambda artist: artist.box("1,1,20,20", segmenter=COLOURS, image=picture(96, 96, 3)),
        "GrabCut works on one picture, but a clip of 3 frames is connected: choose a SAM 2 model, which follows the "
        "subject, or put Get Image from Batch before this node.",
    ),
    Mistake(
        "no points",
        lambda artist: artist.points(" "),
        "Nothing says where the subject is: write into `points`, in pixels, 120,80 for a point on it.",
    ),
    Mistake(
        "points with another separator",
        lambda artist: artist.points("10;20"),
        "The widget `points` cannot be read: '10;20' is not X,Y in pixels, or X,Y,0 for a point beside the subject.",
    ),
    Mistake(
        "points beside the subject alone",
        lambda artist: artist.points("10,20,0"),
        "A subject needs at least one point that lies on it, not only points beside it.",
    ),
    Mistake(
        "a point beside the picture",
        lambda artist: artist.points("10,200"),
        "The point 10, 200 is outside the image, which is 96×96.",
    ),
    Mistake(
        "nothing drawn",
        lambda artist: artist.drawn(torch.zeros(1, 64, 64)),
        f"The drawn mask is empty {NO_ALPHA}.",
    ),
    Mistake(
        "nothing drawn on a picture with transparency",
        lambda artist: artist.drawn(torch.zeros(1, 96, 96)),
        f"The drawn mask is empty (96×96): {PAINT}.",
    ),
    Mistake(
        "a drawing of another size",
        lambda artist: artist.drawn(mask(30, 30)),
        note="The mask of the subject was scaled from 30×30 to the picture's 96×96.",
    ),
    Mistake(
        "a key frame after the end",
        lambda artist: artist.box("1,1,20,20", key_frame=3, image=picture(96, 96, 3)),
        "There is no key frame 3 in a clip of 3 frames, counted from 0.",
    ),
    Mistake(
        "a key frame of a single picture",
        lambda artist: artist.box("1,1,20,20", key_frame=5),
        "There is no key frame 5 in a single picture, which is frame 0.",
    ),
    Mistake(
        "a picture of one pixel to look in",
        lambda artist: artist.box("0,0,1,1", image=picture(1, 1)),
        "The image is 1×1: each side must have at least 8 pixels.",
    ),
    Mistake(
        "a mask that shrinks to nothing",
        lambda artist: artist.drawn(mask(96, 96), segmenter="as it is drawn", grow=-60),
        "Nothing of the mask is left after it was edited: undo `grow`, `feather` or `invert`, or connect another mask.",
    ),
    # What is learnt from
    Mistake(
        "a folder deleted since it was chosen",
        lambda artist: artist.film(stills="folder", folder="gone"),
        f"There is no folder 'gone' in ComfyUI's input folder any more: {BACK}",
    ),
    Mistake(
        "an empty folder of stills",
        lambda artist: artist.film(stills="folder", folder=artist.pictures_in("mine", 0)),
        "There are no stills in {input}/mine: put pictures such as .png, .jpg or .webp into it.",
    ),
    Mistake(
        "a still that is too small",
        lambda artist: artist.film(stills="connected", images=picture(20, 20)),
        "Too small for this motion at this size and speed, which needs 34×32 pixels at least; replace or remove "
        "them: still 1 (20×20).",
    ),
    Mistake(
        "a single still",
        lambda artist: artist.film(stills="connected", images=picture(99, 99)),
        note="5 clips.\n1 still: about twenty are better.",
    ),
    Mistake(
        "an empty folder of clips",
        lambda artist: artist.clips_in(artist.pictures_in("mine", 0)),
        "There are no clips in {input}/mine, put videos such as .mp4, .mov or .webm, or folders of frames into it.",
    ),
    Mistake(
        "a folder of stills in place of clips",
        lambda artist: artist.clips_in(artist.pictures_in("mine", 3)),
        "There are no clips in {input}/mine, but pictures: a motion is filmed over them (--film, or Motion Clips); "
        "else put a clip's frames into a folder of their own.",
    ),
    Mistake(
        "clips one folder deeper, as other trainers have them",
        lambda artist: artist.clips_in(artist.frames_in("mine", ("10_jump/a", "10_jump/b"))),
        "There are no clips in {input}/mine, but 10_jump (with 2 inside: choose such a folder itself).",
    ),
    Mistake(
        "stills one folder deeper",
        lambda artist: artist.film(stills="folder", folder=artist.frames_in("mine", ("5_house",))),
        "There are no stills in {input}/mine: put pictures such as .png, .jpg or .webp into it. There are: 5_house "
        "(with 4 inside: choose such a folder itself).",
    ),
    Mistake(
        "other files among clips",
        lambda artist: artist.clips_in(
            artist.with_files(artist.frames_in("mine", ("a", "b", "c")), "a.txt", "Thumbs.db", "d.heic", "e.xyz")
        ),
        note="3 clips.\nPassed over in {input}/mine, which is read for clips: d.heic (HEIF, which cannot be read: "
        "convert to JPEG); e.xyz (of a kind that is not known here).",
    ),
    Mistake(
        "other files among stills",
        lambda artist: artist.film(
            stills="folder",
            folder=artist.with_files(artist.pictures_in("mine", 8), *(f"{k}.HEIC" for k in range(5)), "0.caption"),
        ),
        note="40 clips.\nPassed over in {input}/mine, which is read for stills: 0.HEIC, 1.HEIC, 2.HEIC and 2 more "
        "(HEIF, which cannot be read: convert to JPEG).",
    ),
    Mistake(
        "a clip that is too short",
        lambda artist: artist.clips([picture(count=3)]),
        "clip 1 has 3 frames, but 4 are needed: connect a longer clip.",
    ),
    Mistake(
        "a list of pictures in place of clips",
        lambda artist: artist.clips([picture(), picture()]),
        "clip 1 is a single picture, but 4 frames are needed: connect videos, or batches of frames; single pictures "
        "are for Motion Clips.",
    ),
    Mistake(
        "one batch of masks for three clips",
        lambda artist: artist.clips(masks=[mask(count=4)]),
        "3 clips are connected, but masks of 1: give every clip its batch of masks.",
    ),
    Mistake(
        "fewer masks than frames",
        lambda artist: artist.clips(masks=[mask(count=3)] * 3),
        "The masks of clip 1 are 3 of 64×64, but its frames are 4 of 64×64: give one mask of the same size for each "
        "frame.",
    ),
    Mistake(
        "masks with nothing on them",
        lambda artist: artist.clips(masks=[torch.zeros(4, 64, 64)] * 3),
        "The masks of clip 1 show no subject: masks are white where it is.",
    ),
    Mistake(
        "masks of a subject that comes later",
        lambda artist: artist.clips(masks=[torch.cat([torch.zeros(2, 64, 64), mask(count=2)]), *[mask(count=4)] * 2]),
        note="3 clips, with masks.\nThe subject of clip 1 is seen from frame 3 on only: a masked motion learns little "
        "from frames without it; cut them off.",
    ),
    Mistake(
        "masks of a subject that is cropped away",
        lambda artist: artist.clips([picture(64, 256, 4)] * 3, masks=[mask(64, 256, 4, share=0.1)] * 3),
        "The masks of clip 1 show nothing that is left at 64×64: crop the clip around its subject.",
    ),
    Mistake(
        "a clip without masks among others",
        lambda artist: artist.clips_in(artist.frames_in("mine", ("a", "a_masks", "b", "c", "c_masks"))),
        note="3 clips.\n2 of 3 clips have masks, which are not used, since these have none: b.",
    ),
    Mistake(
        "a rate at which there are too few frames",
        lambda artist: artist.clips([picture(count=4), picture(count=40), picture(count=40)], fps=40.0),
        note="3 clips.\nclip 1 has 4 frames at 40 a second: at the base's 8 its motion is learnt 5.0 times as slow.",
    ),
    # Learning
    Mistake(
        "clips that were made for another base",
        lambda artist: artist.learn(artist.clips(), model=artist.named("wan")),
        "The dataset was made for the tiny base, but wan is to learn: connect the same Load MIVA Base to both.",
    ),
    Mistake(
        "a masked motion from clips without masks",
        lambda artist: artist.learn(artist.clips(), masked=True),
        "A masked motion is learnt from clips with masks, which these do not all have: connect masks in MIVA Dataset, "
        "put them beside the clips, or switch `masked` off.",
    ),
    Mistake(
        "a masked camera motion",
        lambda artist: artist.learn(artist.film(stills="connected", images=picture(99, 99)), masked=True),
        "What moves the whole picture has no subject: switch `masked` off.",
    ),
    Mistake(
        "pictures to try a masked motion on, without masks",
        lambda artist: artist.learn(masked_clips(artist), masked=True, try_on=picture(count=2)),
        "2 pictures are to be tried on, but 0 masks of their subjects are connected: connect one for each to "
        "`try_on_mask`, or leave `try_on` free.",
    ),
    Mistake(
        "an empty mask to try a masked motion on",
        lambda artist: artist.learn(
            masked_clips(artist), masked=True, try_on=picture(), try_on_mask=torch.zeros(1, 64, 64)
        ),
        f"The mask of picture 1 is empty {NO_ALPHA}, or connect Subject Mask.",
    ),
    Mistake(
        "a masked motion to begin a plain one with",
        lambda artist: artist.learn(artist.clips(), start=motion("jump_masked")),
        "jump_masked, to begin with, is a masked motion: switch `masked` on, or connect another one to `start`.",
    ),
    Mistake(
        "a plain motion to begin a masked one with",
        lambda artist: artist.learn(masked_clips(artist), masked=True, start=motion("jump")),
        "jump, to begin with, is not a masked motion: switch `masked` off, or connect another one to `start`.",
    ),
    Mistake(
        "a motion for another base to begin with",
        lambda artist: artist.learn(artist.clips(), start=artist.for_wan()),
        "horse was trained on another base (Wan 2.1 1.3B) than the one that is connected (the built-in U-Net): "
        "choose Wan 2.1 1.3B in Load MIVA Base, or another motion.",
    ),
    # Keeping
    Mistake(
        "a name that leads out of the folder",
        lambda artist: artist.save(motion(), "../mine"),
        "The filename_prefix '../mine' is no name for a file in models/miva: write letters, digits, _ and -, and / for "
        "folders.",
    ),
    Mistake(
        "a name that Windows keeps for itself",
        lambda artist: artist.save(motion(), "camera/CON"),
        "'CON' is a name that Windows keeps for itself: write another filename_prefix.",
    ),
    Mistake(
        "a name with a dot at its end",
        lambda artist: artist.save(motion(), "mine."),
        "The filename_prefix 'mine.' is no name for a file in models/miva: write letters, digits, _ and -, and / for "
        "folders.",
    ),
    Mistake(
        "a name of 300 letters",
        lambda artist: artist.save(motion(), "m" * 300),
        f"The filename_prefix '{'m' * 59}… is too long for a file: write fewer letters.",
    ),
    Mistake(
        "a folder that ComfyUI cannot make",
        lambda artist: artist.save(motion(), artist.barred(artist.comfyui.models / "miva")),
        "The folder {models}/miva cannot be made: File exists. Allow ComfyUI to write there.",
    ),
    Mistake(
        "an output folder that ComfyUI cannot make",
        lambda artist: artist.learn(artist.clips(), name=artist.barred(artist.comfyui.output / "miva_training")),
        "The folder {output}/miva_training cannot be made: File exists. Allow ComfyUI to write there.",
    ),
    Mistake(
        "nothing to keep",
        lambda artist: artist.save((), "mine"),
        "There is no motion to save: connect Train MIVA, or another node that gives MIVAs.",
    ),
]
