"""ComfyUI's folders: of models, of inputs, and those that this pack keeps things in.

Like `comfy_bridge`, it imports ComfyUI's own modules inside the functions.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ...miva_core.bases.library import shipped_folders
from ...miva_core.clips.names import VIDEOS, is_of_masks
from ...miva_core.errors import MIVAError
from ...miva_core.storage.files import create_folder, replacing
from ...miva_core.text.terminal import in_ascii

EXAMPLES = Path(__file__).parents[2] / "workflows" / "pictures"
"""Pictures and stills of the example workflows."""
EARLIER = {
    "miva_balloon.jpg": "0167eff17ecc4b9bb9600359358fb2c74294a637b70f8567266f35cc64869e19",
    "miva_lemur_back.png": "1777f3c95149c3182a40b82959dee140e48711da1512cbe8e2ed5dbc3485531e",
    "miva_lemur_front.png": "a7649ac07937d7b600e6d1da04f0019b66eca787e5c21ef05bbbad9445e967f9",
    "miva_lemurs.jpg": "4eb5886e8093fcbb4e39ac58550c82debc7cbcd87df991cc07ff19e03264abd7",
    "miva_machu_picchu.jpg": "52273ce87307a16b82e65e1d9da83ac9c3bf88963c215f184f978da288267992",
    "miva_petra.jpg": "b2727e8b2d00faa4f8b3f1fd10d3738c9a186698fed08333da8ecee111f8db59",
    "miva_red_panda.jpg": "0595fcc9400b7b2c918b4f252c38a8d1b96e535f85831b39331f493493c5c01b",
}
"""SHA-256 of pictures that earlier releases have put into input folders, too small for clips of their own size."""

_LEGACY = {".ckpt", ".pt", ".pth"}
_SAFE = {".safetensors"}
_FOLDERS = {
    "miva": _SAFE,
    "animatediff_models": _SAFE | _LEGACY,
    "sam2": _SAFE | _LEGACY,
    "grounding-dino": _SAFE | _LEGACY,
}
"""Folders of models that ComfyUI does not have by itself, and the endings of their files."""

_log = logging.getLogger(__name__)


def register_folders() -> None:
    """Add our folders of models to those that extra_model_paths.yaml and other packs have registered."""
    import folder_paths

    for name, endings in _FOLDERS.items():
        paths, registered = folder_paths.folder_names_and_paths.get(name, ([], set()))
        default = str(Path(folder_paths.models_dir) / name)
        added = [default, *map(str, shipped_folders())] if name == "miva" else [default]
        paths = [*paths, *(path for path in added if path not in paths)]
        # An empty set of endings lists every file; what a folder of ours may hold is not for others to widen.
        endings = endings if name == "miva" else {*registered, *endings}
        folder_paths.folder_names_and_paths[name] = (paths, endings)
    try:
        adapters_folder()
    except MIVAError as error:
        _log.warning("%s", in_ascii(str(error)))


def copy_example_pictures() -> None:
    """Copy the pictures of the example workflows to the input folder, where Load Image finds them.

    What is there stays, but for pictures that an earlier release has put there and nobody has changed since.
    """
    import folder_paths

    target = Path(folder_paths.get_input_directory())
    for source in sorted(path for path in EXAMPLES.rglob("*") if path.is_file()):
        path = target / source.relative_to(EXAMPLES)
        try:
            if path.exists() and not _is_earlier(path):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                shutil.copyfile(source, temporary)
        except (OSError, MIVAError) as error:
            text = in_ascii(f"The example picture {path.name} could not be put into the input folder: {error}.")
            _log.warning("%s", text)
            return


def _is_earlier(picture: Path) -> bool:
    """Whether an earlier release has put a picture there."""
    earlier = EARLIER.get(picture.name)
    return earlier is not None and picture.is_file() and hashlib.sha256(picture.read_bytes()).hexdigest() == earlier


def files_in(folder: str) -> list[str]:
    """The names of the files in one of ComfyUI's folders of models, as menus show them."""
    import folder_paths

    return list(folder_paths.get_filename_list(folder))


def file_in(folder: str, name: str) -> Path | None:
    """The file behind a name in a menu, or None if it is gone or outside of the folder."""
    import folder_paths

    path = folder_paths.get_full_path(folder, name)
    return None if path is None else Path(path)


def folder_paths_of(folder: str) -> list[str]:
    """The folders on disk that make up one of ComfyUI's folders of models."""
    import folder_paths

    return list(folder_paths.get_folder_paths(folder))


def input_folders() -> list[str]:
    """The names of all folders in the input folder, with forward slashes, without those of masks beside clips."""
    found: list[str] = []
    for parent, folders, files in _walk_input():
        clips = {*folders, *(path.stem for path in map(Path, files) if path.suffix.lower() in VIDEOS)}
        found += [(parent / name).as_posix() for name in folders if not is_of_masks(name, clips)]
    return sorted(found)


def input_folder(name: str) -> Path | None:
    """A folder in the input folder by its name, or None if it is gone or outside."""
    import folder_paths

    inside = {(parent / folder).as_posix() for parent, folders, _ in _walk_input() for folder in folders}
    return Path(folder_paths.get_input_directory()) / name if name in inside else None


def _walk_input() -> Iterator[tuple[Path, list[str], list[str]]]:
    """Walk the folders in the input folder that are not hidden.

    Yields:
        The path from the input folder, and the names of folders and of files in it.
    """
    import folder_paths

    root = Path(folder_paths.get_input_directory())
    for parent, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name[0] != "."]
        yield Path(parent).relative_to(root), folders, files


def adapters_folder() -> Path:
    """The folder where adapters are kept, created if missing.

    Raises:
        MIVAError: it cannot be created.
    """
    import folder_paths

    return _made(Path(folder_paths.models_dir) / "miva")


def trainings_folder() -> Path:
    """The folder where trainings are kept, created if missing.

    Raises:
        MIVAError: it cannot be created.
    """
    import folder_paths

    return _made(Path(folder_paths.get_output_directory()) / "miva_training")


def _made(folder: Path) -> Path:
    try:
        create_folder(folder, parents=True)
    except MIVAError as error:
        raise MIVAError(f"{error} Allow ComfyUI to write there.") from error
    return folder
