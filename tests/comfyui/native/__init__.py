"""MIVAs in ComfyUI's own models, in this very process: the models are small and random, ComfyUI is the real one.

Test modules may import what they need at their top, as code of ComfyUI does: `import comfy.samplers`, and of this pack
`from comfyui_miva.miva_core import MIVAConfig` or `from comfyui_miva.nodes.comfy_bridge.native.plan import Plan`. The
pack has a name of its own here, so that ComfyUI's `nodes` and the pack's are two modules; never import `miva_core`
beside it, whose classes are other ones. All runs in inference mode, as ComfyUI does, and on one thread.

`wan_models`, `sd15_models`, `vaes` and `adapters` make things; `runs` samples, records and compares.
"""
