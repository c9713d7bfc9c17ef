"""What every run does to its predictor: adapters that hear how far the run is, and answers that are checked."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..attention.injection import Injection
from ..checks import printable
from ..diffusion.noise_process import NoiseProcess
from ..diffusion.noise_share import noise_share
from ..diffusion.predictor import Answer, Predictor
from ..errors import MIVAError


@dataclass(frozen=True)
class FiniteAnswers:
    """A predictor that refuses answers which are NaN or infinite.

    Attributes:
        predictor: the model.
        names: of the motions at work, for the message.
    """

    predictor: Predictor
    names: Sequence[str]

    def predict(self, clips: Tensor, t: Tensor, step: int, /) -> Answer:
        """Call the model and check what it answers; see `Predictor`.

        Raises:
            MIVAError: some of it is NaN or infinite.
        """
        answer = self.predictor.predict(clips, t, step)
        if not answer.is_finite:
            blamed = f" with {', '.join(printable(name) for name in self.names)}" if self.names else ""
            raise MIVAError(
                f"The clip became NaN or infinite at step {step + 1}{blamed}: take weights nearer to 1, and if it "
                "stays so, get or train the motion again, since values of its file are too large."
            )
        return answer


@dataclass(frozen=True)
class WithProgress:
    """A predictor whose adapters are told how far the run is, see `Injection.set_progress`.

    Attributes:
        predictor: the model with the adapters in it.
        injection: these adapters.
        process: the noise that the run goes along.
        steps: of the run.
    """

    predictor: Predictor
    injection: Injection
    process: NoiseProcess
    steps: int

    def predict(self, clips: Tensor, t: Tensor, step: int, /) -> Answer:
        """Call the model with the strengths of this step; see `Predictor`."""
        noise = noise_share(t.flatten()[0].item(), self.process.length, self.process.is_flow)
        self.injection.set_progress(step / self.steps, noise)
        return self.predictor.predict(clips, t, step)
