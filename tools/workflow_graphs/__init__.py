"""The example workflows, as nodes in columns and links between them; `make_workflows` has ComfyUI itself write them."""

from .built_in import BUILT_IN_GRAPHS
from .checkpoints import CHECKPOINT_GRAPHS
from .controls import CONTROL_GRAPHS
from .living import LIVING_GRAPHS
from .native import NATIVE_GRAPHS
from .repainting import REPAINTING_GRAPHS
from .training import TRAINING_GRAPHS

GRAPHS = (
    BUILT_IN_GRAPHS
    | TRAINING_GRAPHS
    | CONTROL_GRAPHS
    | LIVING_GRAPHS
    | NATIVE_GRAPHS
    | CHECKPOINT_GRAPHS
    | REPAINTING_GRAPHS
)
"""All workflows by name."""
