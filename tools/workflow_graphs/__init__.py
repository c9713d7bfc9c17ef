"""The example workflows, as nodes in columns and links between them; `make_workflows` has ComfyUI itself write them."""

from .built_in import BUILT_IN_GRAPHS
from .checkpoints import CHECKPOINT_GRAPHS
from .native import NATIVE_GRAPHS
from .training import TRAINING_GRAPHS

GRAPHS = BUILT_IN_GRAPHS | TRAINING_GRAPHS | NATIVE_GRAPHS | CHECKPOINT_GRAPHS
"""All workflows by name."""
