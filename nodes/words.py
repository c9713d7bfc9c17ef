"""What motions that hold several are told: words that a base knows, or a prompt that ComfyUI has encoded."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..miva_core.checks import is_line, printable
from ..miva_core.errors import MIVAError
from .stacks import MivaStack, StackedMiva, files_in

if TYPE_CHECKING:
    from ..miva_core.bases.vocabulary import Vocabulary


def check_words(name: str, entry: StackedMiva) -> None:
    """Check words that are typed for a motion.

    Args:
        name: what the message calls the motion.
        entry: the motion.

    Raises:
        MIVAError: it hears none, or they are no line.
    """
    if entry.words and not entry.info.config.words:
        raise MIVAError(
            f"{name} holds one motion and hears no words: empty `words`, or choose a file that holds several."
        )
    if not is_line(entry.words):
        raise MIVAError(f"The words for {name} must be one line: say which motion in a word or two.")


def with_prompt(mivas: MivaStack, prompt: Any, vocabulary: "Vocabulary | None", width: int) -> MivaStack:
    """Let the motions of a stack that hear words hear a prompt, on models that know no words by heart.

    Args:
        mivas: the motions.
        prompt: CONDITIONING, or None.
        vocabulary: of a base that knows words by heart, which hears those that are typed and no prompt.
        width: of the tokens of the model's text encoder.

    Raises:
        MIVAError: words are typed for a model that knows none by heart, the prompt is for one that does, or it comes
            from another text encoder or is several prompts.
    """
    hearing = [entry for entry in files_in(mivas) if entry.info.config.words]
    if not hearing:
        return mivas
    if vocabulary is not None:
        if prompt is not None:
            raise MIVAError("The built-in bases hear no prompt: leave `words` free here, and type them in Load MIVA.")
        for entry in hearing:
            if entry.words:
                vocabulary.encode(entry.words, entry.info.words)
        return mivas
    for entry in hearing:
        if entry.words:
            raise MIVAError(
                f"The words typed for {entry.path.stem} are for a built-in base: empty them in Load MIVA, and "
                "connect a prompt from CLIP Text Encode to `words` here."
            )
    text = None if prompt is None else _tokens(prompt, width)
    return tuple(
        replace(entry, text=text) if isinstance(entry, StackedMiva) and entry.info.config.words else entry
        for entry in mivas
    )


def untold_notes(mivas: MivaStack) -> list[str]:
    """Say which motions hold several and are told none by a prompt.

    Args:
        mivas: the motions, from `with_prompt`.

    Returns:
        Sentences, or none.
    """
    return [
        f"{entry.path.stem} holds several motions, and no prompt says which: connect one to `words`, such as "
        f"{', '.join(map(printable, entry.info.words)) or 'those it was trained with'}."
        for entry in files_in(mivas)
        if entry.info.config.words and entry.text is None
    ]


def _tokens(prompt: Any, width: int) -> Tensor:
    """The tokens (words, d_text) of a CONDITIONING."""
    texts = [text for text, _ in prompt]
    if len(texts) != 1 or len(texts[0]) != 1:
        raise MIVAError(
            "The prompt that is to say which motion is several at once: connect one CLIP Text Encode to `words`, "
            "without Combine."
        )
    if texts[0].shape[-1] != width:
        raise MIVAError(
            f"The prompt for `words` has tokens of {texts[0].shape[-1]} numbers, but this model's have {width}: encode "
            "it by the CLIP of the same model."
        )
    tokens: Tensor = texts[0][0]
    return tokens
