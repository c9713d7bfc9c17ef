"""Which base motions run on: the one that `--base` names, or the one that their files were made for."""

from collections.abc import Mapping, Sequence

from ..adapters.info import AdapterInfo
from ..animation.captions import no_words
from ..bases.known import find_specs, word_for
from ..bases.registry import DEFAULT, find_base
from ..bases.spec import BaseSpec
from ..checks import printable
from ..errors import MIVAError
from .chosen_motions import Chosen, ChosenMotion, ChosenWords


def choose_base(named: str | None, motions: Sequence[Chosen]) -> str:
    """Choose the base of a clip, before anything is loaded.

    Args:
        named: by `--base`, or None.
        motions: that were asked for.

    Returns:
        The name of the one that is named, or that all files were made for; of `DEFAULT` where there are no files.

    Raises:
        MIVAError: there is none of that name, files were made for another one or for several, or words are said to a
            base that does not move by words.
    """
    files = {one.name: one.info for one in motions if isinstance(one, ChosenMotion)}
    said = [one.name for one in motions if isinstance(one, ChosenWords)]
    if named is not None:
        check_made_for(find_base(named), files)
        if said and not find_base(named).words:
            raise MIVAError(no_words(named, said[0]))
        return named
    spec = base_of_files(files) if files else find_base(DEFAULT)
    if said and not spec.words:
        raise MIVAError(_files_and_words(spec, files, said[0]))
    return spec.name


def base_of_files(files: Mapping[str, AdapterInfo]) -> BaseSpec:
    """The base that motions were made for.

    Args:
        files: their headers by what messages call them, one at least.

    Raises:
        MIVAError: it is none of those that there are, or they were made for several.
    """
    fitting = {name: find_specs(info) for name, info in files.items()}
    for name, info in files.items():
        if not fitting[name]:
            raise MIVAError(
                f"The motion {printable(name)} was trained on another base than those that there are "
                f"({printable(info.family)}, {printable(info.fingerprint)}): choose another motion."
            )
    names = [{spec.name for spec in specs} for specs in fitting.values()]
    common = set.intersection(*names)
    if not common:
        raise MIVAError(_several(files, {name: specs[0] for name, specs in fitting.items()}))
    return next(spec for spec in next(iter(fitting.values())) if spec.name in common)


def check_made_for(named: BaseSpec, files: Mapping[str, AdapterInfo]) -> None:
    """Check that none of the files is known to be for another base than the one that is named.

    Args:
        named: by `--base`.
        files: their headers by what messages call them.
    """
    for name, info in files.items():
        specs = find_specs(info)
        if specs and named.name not in [spec.name for spec in specs]:
            raise MIVAError(
                f"{printable(name)} was made for another base ({specs[0].name}) than {named.name}: leave --base out"
                f"{_or_say(name, info, named)}, or choose another motion."
            )


def _several(files: Mapping[str, AdapterInfo], bases: Mapping[str, BaseSpec]) -> str:
    """Say which files are for which base."""
    *first, last = (f"{printable(name)} is for {spec.name}" for name, spec in bases.items())
    others = [(name, other) for name, spec in bases.items() for other in bases.values() if other is not spec]
    words = [_or_say(name, files[name], other) for name, other in others]
    return (
        f"A clip is made by one base, but {', '.join(first)} and {last}: leave one of them out"
        f"{next(filter(None, words), '')}."
    )


def _files_and_words(spec: BaseSpec, files: Mapping[str, AdapterInfo], said: str) -> str:
    """Say that words and files are for different bases."""
    name = next(iter(files))
    words = _or_say(name, files[name], find_base(DEFAULT))
    return (
        f"{printable(name)} is for the base {spec.name}, which does not move by words such as {printable(said)!r}: "
        f"leave one of them out{words}."
    )


def _or_say(name: str, info: AdapterInfo, base: BaseSpec) -> str:
    """What to say to a base that moves by words in place of a file, if it has a word for it."""
    word = word_for(info, base)
    return f', or say --say "{word}" in place of --miva {printable(name)}' if word else ""
