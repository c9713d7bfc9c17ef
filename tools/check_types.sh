#!/usr/bin/env bash
# Check the types of miva_core and nodes with mypy; arguments are passed on to it.
# Nodes import the engine as `..miva_core`, which only resolves inside of a package, as the folder is one in ComfyUI.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .mypy_cache/pack
ln -sfn ../.. .mypy_cache/pack/comfyui_miva
cd .mypy_cache/pack
exec "${PYTHON:-python}" -m mypy --config-file ../../pyproject.toml --cache-dir .. -p comfyui_miva.miva_core -p comfyui_miva.nodes "$@"
