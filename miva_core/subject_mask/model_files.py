"""Load Grounding DINO and SAM 2 from the files people have; nothing is downloaded.

A model is one original checkpoint (.pth, .pt, or .safetensors with the same names), or a folder as transformers saves
it, with its config.json. The content shows which of them it is.
"""

import contextlib
import pickle
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..checks import is_count, is_line, printable, shown
from ..errors import MIVAError
from ..storage.identify import BROKEN_SAFETENSORS, identify_file
from ..storage.json_files import read_foreign_json
from ..storage.meta_device import on_meta
from ..storage.weights import identify_weights, open_weights
from . import grounding_dino_names, sam2_names

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

    from .detector import Detector
    from .segmenter import Segmenter

_DETECTORS = ("grounding-dino", "mm-grounding-dino")
_SEGMENTERS = ("sam2_video", "sam2")
# Computed anew, but listed as missing by some releases.
_COMPUTED = "relative_position_index"
_VOCABULARIES = ("tokenizer.json", "vocab.txt")
_BERT = "bert-base-uncased"
_DEFAULT_SIZE = 800, 1333
"""Shorter and longest side in pixels of the pictures that Grounding DINO sees."""
# With these in a configuration transformers would load more than the folder holds, or run code.
_REFUSED = ("backbone", "use_pretrained_backbone", "use_timm_backbone", "quantization_config", "auto_map")

_UNFIT = "is damaged, incomplete or of other sizes than its model: get it again."


def load_detector(path: str | Path, vocabulary: str | Path | None = None, device: str = "cpu") -> "Detector":
    """Load Grounding DINO, in float32.

    Args:
        path: groundingdino_swint_ogc.pth, groundingdino_swinb_cogcoor.pth, their tensors as .safetensors, or a folder
            with config.json, model.safetensors and tokenizer.json.
        vocabulary: tokenizer.json or vocab.txt of bert-base-uncased, or a folder that holds one. By default it is
            looked for in the model's folder, and in a folder bert-base-uncased there or one level up.
        device: on which it runs.

    Raises:
        MIVAError: missing, another kind of file, damaged, incomplete, no vocabulary, or transformers is too old.
    """
    require_transformers()
    from .detector import Detector

    path = _find(Path(path), "Grounding DINO", "grounding-dino", "tokenizer.json", "groundingdino_swint_ogc.pth")
    if path.is_dir():
        _check_type(path, _DETECTORS, "Grounding DINO")
        tokenizer = _tokenizer(_find_vocabulary(path, vocabulary))
        model = _from_folder("AutoModelForZeroShotObjectDetection", path)
        shorter, longer = _detector_size(path)
    else:
        tensors = _open(path, grounding_dino_names.MARK, "Grounding DINO")
        tokenizer = _tokenizer(_find_vocabulary(path, vocabulary))
        config, renamed = _convert(grounding_dino_names, tensors, path)
        model = _from_tensors("GroundingDinoForObjectDetection", config, renamed, path)
        shorter, longer = _DEFAULT_SIZE
    return Detector(model.to(device), tokenizer, shorter, longer)


def load_segmenter(path: str | Path, device: str = "cpu") -> "Segmenter":
    """Load SAM 2 or 2.1, in float32.

    Args:
        path: sam2_hiera_tiny.pt or a larger one, their tensors as .safetensors, or a folder with config.json and
            model.safetensors.
        device: on which it runs.

    Raises:
        MIVAError: missing, another kind of file, damaged, incomplete, or transformers is too old.
    """
    require_transformers()
    from .segmenter import Segmenter

    path = _find(Path(path), "SAM 2", "sam2", "processor_config.json", "sam2.1_hiera_tiny.pt")
    load_video: Callable[[], PreTrainedModel] | None = None
    multimask = True
    if path.is_dir():
        if _check_type(path, _SEGMENTERS, "SAM 2") == "sam2_video":
            load_video = partial(_from_folder, "Sam2VideoModel", path)
        model = _from_folder("Sam2Model", path)
        multimask = read_foreign_json(path / "config.json").get("multimask_output_in_sam", True)
    else:
        tensors = _open(path, sam2_names.MARK, "SAM 2")
        config, renamed = _convert(sam2_names, tensors, path)
        load_video = partial(_from_tensors, "Sam2VideoModel", config, renamed, path)
        model = _from_tensors("Sam2Model", sam2_names.image_configuration(config), renamed, path)
    return Segmenter(model.to(device), load_video, multimask, path.name)


def require_transformers() -> None:
    """Check that the installed transformers runs both models correctly.

    Raises:
        MIVAError: it is too old.
    """
    import transformers

    release = tuple(int(part) for part in re.findall(r"\d+", transformers.__version__)[:3])
    if release < (4, 56):
        raise MIVAError(f"transformers {transformers.__version__} has no SAM 2; update to 4.57.6 or newer.")
    if release < (4, 57, 6) or release == (5, 0, 0):
        raise MIVAError(
            f"transformers {transformers.__version__} is not known to run SAM 2 rightly; take 4.57.6, or 5.23 or newer."
        )


def _find(path: Path, kind: str, folder: str, third: str, file: str) -> Path:
    """The path of a checkpoint, or of the folder around the model.safetensors of transformers' layout."""
    if not path.exists():
        raise MIVAError(
            f"{kind} weights not found: {path}. Put an HF folder (config.json, model.safetensors, {third}) or {file} "
            f"into ComfyUI/models/{folder}."
        )
    if path.is_file() and path.name == "model.safetensors" and (path.parent / "config.json").is_file():
        return path.parent
    return path


def _open(path: Path, mark: str, kind: str) -> dict[str, Tensor]:
    """Read the tensors of an original checkpoint; `mark` is one that it must have."""
    try:
        tensors = open_weights(path, f"{kind} checkpoint")
    except MIVAError as error:
        program = isinstance(error.__cause__, pickle.UnpicklingError) or "TorchScript" in str(error.__cause__)
        if identify_file(path) == "a text file" or program:
            raise MIVAError(
                f"{path.name} is not a plain weight file (it holds pickled code or is a web page / git-lfs pointer); "
                "nothing from it was executed."
            ) from error
        raise
    if mark not in tensors:
        found = identify_weights(tensors)
        if found.startswith(kind):
            raise MIVAError(f"{path.name} is {found}: call it model.safetensors and put its config.json beside it.")
        raise MIVAError(f"{path.name} is {found}, not {kind}.")
    return tensors


def _check_type(folder: Path, types: tuple[str, ...], kind: str) -> str:
    """Check that the model_type of a folder is one of these, and return it."""
    config = folder / "config.json"
    if not config.is_file():
        raise MIVAError(
            f"{folder} holds no config.json: name a folder as transformers saves {kind}, or one weight file."
        )
    content = read_foreign_json(config)
    found = content.get("model_type")
    if found is None:
        raise MIVAError(f"{config} does not tell which model this is: name a folder as transformers saves {kind}.")
    if found not in types:
        raise MIVAError(f"{folder} is a {shown(found)} model, not {kind}.")
    refused = [name for name in _REFUSED if content.get(name)]
    if refused:
        raise MIVAError(f"{config} asks for {refused[0]}, which the folder does not hold: get {kind} without it.")
    return found


def _convert(names: ModuleType, tensors: dict[str, Tensor], path: Path) -> tuple[Any, dict[str, Tensor]]:
    """Convert an original checkpoint to transformers' configuration and names."""
    try:
        return names.configuration(tensors, path.name), names.rename(tensors)
    except MIVAError:
        raise
    except (ValueError, TypeError, LookupError, RuntimeError) as error:  # shapes of other dimensions
        raise MIVAError(f"{path} {_UNFIT}") from error


def _from_folder(model_class: str, folder: Path) -> "PreTrainedModel":
    files = _weight_files(folder)
    for path in files:
        if identify_file(path) in (*BROKEN_SAFETENSORS, "not there", "a pipe, a socket or a device"):
            raise MIVAError(f"{path} is {identify_file(path)}: get it again.")
    _check_size(model_class, folder, sum(path.stat().st_size for path in files))
    return _load(model_class, folder, folder, local_files_only=True, use_safetensors=True)


def _check_size(model_class: str, folder: Path, held: int) -> None:
    """Check that a configuration asks for no more values than its files have bytes; transformers allocates them."""
    import transformers

    builder = getattr(transformers, model_class)
    try:
        with _quiet():
            config = getattr(builder, "config_class", transformers.AutoConfig).from_pretrained(folder)
            build = getattr(builder, "from_config", None) or builder._from_config
            model = on_meta(lambda: build(config))
    except Exception as error:  # as many kinds as `_load` meets
        raise MIVAError(f"{folder} {_UNFIT}") from error
    if sum(parameter.numel() for parameter in model.parameters()) > held:
        raise MIVAError(f"{folder} {_UNFIT}")


def _weight_files(folder: Path) -> list[Path]:
    """List the weight files of a folder: one, or those that its index names; none may lie elsewhere."""
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        raise MIVAError(f"{folder} holds no model.safetensors: copy it there, beside config.json.")
    named = read_foreign_json(index).get("weight_map")
    names = set(named.values()) if isinstance(named, dict) and all(map(is_line, named.values())) else set()
    if not names or any(Path(name).name != name for name in names):
        raise MIVAError(f"{index} is damaged, or names files outside of its folder: get the folder again.")
    return [folder / name for name in sorted(names)]


def _from_tensors(model_class: str, config: Any, tensors: dict[str, Tensor], path: Path) -> "PreTrainedModel":
    floats = {name: tensor.float() for name, tensor in tensors.items()}
    return _load(model_class, None, path, config=config, state_dict=floats)


def _load(model_class: str, source: Path | None, path: Path, **options: Any) -> "PreTrainedModel":
    import transformers

    try:
        with _quiet():
            model, report = getattr(transformers, model_class).from_pretrained(
                source, dtype=torch.float32, output_loading_info=True, **options
            )
    except Exception as error:  # damaged configurations and weights raise a dozen kinds of exception
        raise MIVAError(f"{path} {_UNFIT}") from error
    missing = sorted(name for name in report["missing_keys"] if not name.endswith(_COMPUTED))
    if missing:
        raise MIVAError(f"{len(missing)} weights are missing from {path}, e.g. {printable(missing[0])}: get it again.")
    return model.eval().requires_grad_(False)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' reports on what it loads, which our own messages replace."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _detector_size(folder: Path) -> tuple[int, int]:
    """The shorter and longest side in pixels to which pictures are scaled."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        if not (folder / name).is_file():
            continue
        content = read_foreign_json(folder / name)
        part = content.get("image_processor", content)
        size = part.get("size") if isinstance(part, dict) else None
        sides: list[Any] = []
        if isinstance(size, dict):
            sides = [size.get("shortest_edge"), size.get("longest_edge")]
        if not sides or not all(map(is_count, sides)):
            raise MIVAError(f"{folder / name} is damaged: it does not tell the size of pictures. Get its folder again.")
        return sides[0], sides[1]
    return _DEFAULT_SIZE


def _find_vocabulary(model: Path, vocabulary: str | Path | None) -> Path:
    """Find the vocabulary: the file or folder that was named, or else a file near the model."""
    if vocabulary is not None:
        places = [Path(vocabulary), *(Path(vocabulary) / name for name in _VOCABULARIES)]
    else:
        home = model if model.is_dir() else model.parent
        folders = (home, home / _BERT, home.parent / _BERT)
        places = [folder / name for folder in folders for name in _VOCABULARIES]
    for place in places:
        if place.is_file():
            return place
    if vocabulary is not None:
        raise MIVAError(f"There is no vocabulary {vocabulary}: name bert-base-uncased's vocab.txt or tokenizer.json.")
    raise MIVAError(
        f"{model.name} has no vocabulary. Put bert-base-uncased's vocab.txt (or tokenizer.json) into "
        f"models/{_BERT} or beside the file."
    )


def _tokenizer(path: Path) -> "Tokenizer":
    from tokenizers import BertWordPieceTokenizer, Tokenizer

    try:
        if path.suffix == ".json":
            tokenizer = Tokenizer.from_file(str(path))
        else:
            tokenizer = BertWordPieceTokenizer(str(path), lowercase=True)._tokenizer
    except Exception as error:  # the library raises bare exceptions
        raise MIVAError(f"{path} is no vocabulary: get bert-base-uncased's vocab.txt or tokenizer.json.") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if [tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]", ".")] != [101, 102, 1012]:
        raise MIVAError(f"{path} is another vocabulary: get bert-base-uncased's vocab.txt or tokenizer.json.")
    return tokenizer
