"""The command `evaluate`: measures an adapter on stills."""

import argparse

from torch import Tensor
from tqdm import tqdm

from ..adapters.adapter import MIVAAdapter
from ..adapters.info import read_info
from ..animation.clip import Clip
from ..bases.library import resolve_adapter
from ..bases.registry import find_base
from ..errors import MIVAError
from ..measure.clip_motion import measure_motion
from ..measure.evaluation import evaluate, medians
from ..measure.features import load_features
from ..measure.report import left_out, table, write_plot, write_table
from ..media.pictures import fit_mask, fit_picture
from ..media.video import write_png
from ..storage.files import check_fillable, create_folder
from ..training.validation import Validation, in_words, read_validations, try_on, validation_sheet
from .chosen import device, load_chosen_base
from .chosen_base import base_of_files, check_made_for
from .file_checks import check_parent

TABLE, PLOT, SHEET = "evaluation.md", "evaluation.png", "evaluation_sheet.png"


def run_evaluate(options: argparse.Namespace) -> None:
    path = resolve_adapter(options.adapter, options.adapters)
    info = read_info(path)
    if options.base is None:
        options.base = base_of_files({path.stem: info}).name
    check_made_for(find_base(options.base), {path.stem: info})
    samples = in_words(read_validations(options.stills, info.config.takes_mask), info.words)
    if options.out.exists() and not options.out.is_dir():
        raise MIVAError(f"{options.out} is a file: name a folder for the results.")
    check_parent(options.out)
    if (options.out / TABLE).exists():
        raise MIVAError(f"{options.out} holds an evaluation already: name another folder.")
    dino = load_features("dino", options.dino) if options.dino else None
    clip = load_features("clip", options.clip) if options.clip else None

    create_folder(options.out)
    check_fillable(options.out)

    base = load_chosen_base(options, device(options.device))
    adapter = MIVAAdapter.load(path, base.backbone)
    rows, shown, speeds, problems = [], [], [], {}
    for sample in tqdm(samples, unit="still", delay=0.5):
        clips = [try_on(base, adapter, [sample], seed, options.steps)[0] for seed in range(options.seeds)]
        shown.append(clips[0])
        try:
            motions = [measure_motion(made.frames, _mask(made, sample)) for made in clips]
        except MIVAError as error:
            problems[sample.label] = error
            continue
        picture, _ = fit_picture(sample.picture, base.size)
        values = [
            evaluate(made.frames, picture, motion, dino, clip, info.degree)
            for made, motion in zip(clips, motions, strict=True)
        ]
        rows.append((sample.label, medians(values)))
        speeds.append(motions[0].speeds)
    if not rows:
        label, problem = next(iter(problems.items()))
        raise MIVAError(f"Not one still became a clip whose motion can be measured. Of {label}: {problem}")
    write_table(options.out / TABLE, info, rows, options.seeds, list(problems))
    write_plot(options.out / PLOT, rows, speeds)
    write_png(validation_sheet(samples, shown), options.out / SHEET)
    print("\n".join(table(rows)))
    if problems:
        print(left_out(list(problems)))
    for name, folder in (("subject consistency needs --dino", dino), ("background consistency needs --clip", clip)):
        if folder is None:
            print(f"Not measured: {name}, a folder of its weights.")
    print(f"Wrote {TABLE}, {PLOT} and {SHEET} into {options.out}.")


def _mask(clip: Clip, sample: Validation) -> Tensor | None:
    """Where a clip is measured, (F, H, W) or (1, H, W): in the mask that it made, or the one that guided it, if any."""
    guide = None if sample.mask is None else fit_mask(sample.mask, (clip.frames.shape[1], clip.frames.shape[2]))[None]
    return next(iter(clip.masks.values()), guide)
