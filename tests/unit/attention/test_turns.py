"""Threads that share a base: each gets what it would get alone, and the model is left bare."""

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from miva_core import MIVAAdapter, Motion, Progress, RunOptions, animate, inject
from miva_core.attention.turns import take_turn
from miva_core.bases.base import Base
from miva_core.bases.recipe import Recipe
from miva_core.bases.wan.loading import WanVAE
from miva_core.errors import MIVAError
from miva_core.training.loop import train

LONG = 120.0
"""Seconds after which a thread counts as stuck."""


class Started:
    """A function that runs in a thread of its own; `result()` is what it returned or raised."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        self._outcome: Any = None
        self.thread = threading.Thread(target=self._run, args=(function, arguments, options), daemon=True)
        self.thread.start()

    def _run(self, function: Callable[..., Any], arguments: tuple, options: dict[str, Any]) -> None:
        try:
            self._outcome = function(*arguments, **options)
        except BaseException as error:
            self._outcome = error

    def is_waiting(self) -> bool:
        """Whether it has not ended, long after it could have on an idle machine.

        On a busy one it may not even have come to the lock, which passes for waiting, too. So of clips the real test is
        that they equal those made alone.
        """
        self.thread.join(0.3)
        return self.thread.is_alive()

    def result(self) -> Any:
        self.thread.join(LONG)
        assert not self.thread.is_alive(), "the thread is stuck"
        return self._outcome


@pytest.fixture(params=["animatediff", "wan"])
def base(request: pytest.FixtureRequest, make_base: Callable[..., Base]) -> Base:
    return make_base(request.param)


@pytest.fixture
def adapters(base: Base, make_adapter: Callable[..., MIVAAdapter]) -> dict[str, MIVAAdapter]:
    return {name: make_adapter(base.model) for name in ("pan", "jump")}


@pytest.fixture
def picture(base: Base) -> Tensor:
    return torch.rand(*base.size, 3)


@pytest.fixture
def clip(base: Base, adapters: dict[str, MIVAAdapter], picture: Tensor) -> Callable[..., Tensor]:
    """clip(name, seed=0, callback=None): the frames that one of the adapters makes of the picture."""
    return lambda name, seed=0, callback=None: (
        animate(base, picture, [Motion(adapters[name], name=name)], RunOptions(seed), callback).frames
    )


def processors(base: Base) -> list[int]:
    return [id(base.model.get_submodule(site.path).processor) for site in base.backbone.sites]


def hooks(base: Base) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in base.model.modules())


@pytest.fixture
def assert_bare(base: Base) -> Callable[[], None]:
    before = processors(base), hooks(base)

    def check() -> None:
        assert (processors(base), hooks(base)) == before

    return check


# --- clips -----------------------------------------------------------------------------------------------------------


def test_clips_of_several_threads_are_those_made_one_after_the_other(
    clip: Callable[..., Tensor], assert_bare: Callable[[], None]
) -> None:
    wanted = [(name, seed) for seed in range(3) for name in ("pan", "jump")]
    alone = [clip(name, seed=seed) for name, seed in wanted]
    together = [Started(clip, name, seed=seed) for name, seed in wanted]
    for expected, thread in zip(alone, together, strict=True):
        assert torch.equal(thread.result(), expected)
    assert_bare()


def test_a_second_thread_waits_until_the_first_is_done(
    clip: Callable[..., Tensor], assert_bare: Callable[[], None]
) -> None:
    alone = {name: clip(name) for name in ("pan", "jump")}
    second: list[Started] = []

    def begin_another(progress: Progress) -> None:
        if progress.step == 1:
            second.append(Started(clip, "jump"))
            assert second[0].is_waiting()

    assert torch.equal(clip("pan", callback=begin_another), alone["pan"])
    assert torch.equal(second[0].result(), alone["jump"])
    assert_bare()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_in_one_thread_leaves_the_other_right(
    clip: Callable[..., Tensor], assert_bare: Callable[[], None], error: type[BaseException]
) -> None:
    alone, second = clip("jump"), []

    def fail(progress: Progress) -> None:
        second.append(Started(clip, "jump"))
        assert second[0].is_waiting()
        raise error("enough")

    first = Started(clip, "pan", callback=fail)
    assert isinstance(first.result(), error)
    assert torch.equal(second[0].result(), alone)
    assert_bare()


def test_a_run_without_adapters_waits_too(make_base: Callable[..., Base], make_adapter: Callable) -> None:
    base = make_base("wan")
    picture, pan = torch.rand(*base.size, 3), Motion(make_adapter(base.model))
    alone, second = animate(base, picture).frames, []

    def begin_another(progress: Progress) -> None:
        if progress.step == 1:
            second.append(Started(lambda: animate(base, picture).frames))
            assert second[0].is_waiting()

    animate(base, picture, [pan], callback=begin_another)
    assert torch.equal(second[0].result(), alone)


def test_while_one_thread_learns_another_makes_clips(
    base: Base, clip: Callable[..., Tensor], make_clips: Callable, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("alone", "together")]
    for folder in folders:
        folder.mkdir()
    clips, recipe, alone = make_clips(base), make_recipe(steps=8), clip("pan")
    learnt = train(base, clips, recipe, folder=folders[0])
    training = Started(train, base, clips, recipe, folder=folders[1])
    assert all(torch.equal(clip("pan"), alone) for _ in range(4))
    outcome = training.result()
    assert outcome.losses == learnt.losses
    parameters = zip(outcome.adapter.parameters(), learnt.adapter.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in parameters)


# --- injections ------------------------------------------------------------------------------------------------------


def test_an_injection_waits_until_another_threads_is_removed(
    base: Base, adapters: dict[str, MIVAAdapter], assert_bare: Callable[[], None]
) -> None:
    with inject(base.model, pan=adapters["pan"]):
        second = Started(inject, base.model, jump=adapters["jump"])
        assert second.is_waiting()
    second.result().remove()  # by another thread than the one that injected
    assert_bare()


def test_a_thread_that_injects_twice_is_refused_and_keeps_its_turn(
    base: Base, adapters: dict[str, MIVAAdapter], clip: Callable[..., Tensor]
) -> None:
    with inject(base.model, pan=adapters["pan"]):
        second = Started(clip, "jump")
        for _ in range(2):
            with pytest.raises(MIVAError, match="already has adapters"):
                inject(base.model, jump=adapters["jump"])
        assert second.is_waiting()
    assert isinstance(second.result(), Tensor)


def test_an_injection_left_by_a_thread_that_ended_is_an_error_rather_than_a_wait_for_ever(
    base: Base, adapters: dict[str, MIVAAdapter], clip: Callable[..., Tensor]
) -> None:
    left = Started(inject, base.model, pan=adapters["pan"]).result()
    error = Started(clip, "jump").result()
    assert isinstance(error, MIVAError) and "already has adapters" in str(error)
    left.remove()
    assert isinstance(Started(clip, "jump").result(), Tensor)


def test_other_models_are_not_waited_for(make_base: Callable[..., Base], make_adapter: Callable) -> None:
    busy, idle = make_base(), make_base()
    with inject(busy.model, pan=make_adapter(busy.model)):
        Started(inject, idle.model, pan=make_adapter(idle.model)).result().remove()


# --- turns -----------------------------------------------------------------------------------------------------------


def test_who_comes_first_is_served_first() -> None:
    model, served = torch.nn.Identity(), []

    def serve(number: int) -> None:
        with take_turn(model):
            served.append(number)

    with take_turn(model), take_turn(model):
        threads = [started for k in range(4) if (started := Started(serve, k)).is_waiting()]
        assert served == []
    for thread in threads:
        thread.result()
    assert served == [0, 1, 2, 3]


def test_a_thread_that_is_stopped_while_it_waits_holds_up_nobody() -> None:
    model = torch.nn.Identity()
    with take_turn(model):
        stopped = Started(take_turn, model)
        behind = Started(take_turn, model)
        assert stopped.is_waiting() and behind.is_waiting()
        ident = ctypes.c_ulong(stopped.thread.ident)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(KeyboardInterrupt))
        assert isinstance(stopped.result(), KeyboardInterrupt)
    behind.result().release()


def test_releasing_twice_takes_no_turn_away_from_another() -> None:
    model = torch.nn.Identity()
    first = take_turn(model)
    first.release()
    with take_turn(model):
        first.release()
        second = Started(take_turn, model)
        assert second.is_waiting()
    second.result().release()


def test_wans_autoencoder_keeps_the_clips_of_threads_apart() -> None:
    """It carries what it has seen of a clip from frame to frame, in itself."""
    vae = AutoencoderKLWan(base_dim=8, z_dim=4, num_res_blocks=1, latents_mean=[0.0] * 4, latents_std=[1.0] * 4)
    codec, clips = WanVAE(vae.eval().requires_grad_(False)), torch.randn(4, 3, 4, 4, 4)
    frames = torch.randn(4, 9, 3, 16, 16)
    alone = [(codec.decode(clip), codec.encode_clip(film)[0]) for clip, film in zip(clips, frames, strict=True)]
    decoded = [Started(codec.decode, clip) for clip in clips]
    encoded = [Started(codec.encode_clip, film) for film in frames]
    for (expected, latents), thread, other in zip(alone, decoded, encoded, strict=True):
        assert torch.equal(thread.result(), expected)
        assert torch.equal(other.result()[0], latents)
