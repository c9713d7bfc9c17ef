"""The example workflows, as nodes in columns and links between them; `make_workflows` has ComfyUI itself write them."""

from .built_in import BUILT_IN_GRAPHS
from .training import TRAINING_GRAPHS

GRAPHS = dict(sorted((BUILT_IN_GRAPHS | TRAINING_GRAPHS).items()))
"""All workflows by name, in the order of their numbers."""
