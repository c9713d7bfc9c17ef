"""Who may import whom in this repository, and hold the name of a base, as data, and where a tree of files breaks it.

Every import counts: at the top of a file, inside of a function, and for type checkers alone. The last runs nothing, but
who reads a file of a lower layer would have to know a higher one to understand it.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "checks", "text", "package_fit"),
    ("storage",),
    ("media",),
    ("adapters", "diffusion", "clips", "subject_mask"),
    ("motion_fields",),
    ("rendering",),
    ("attention", "motion_transfer"),
    ("bases",),
    ("animation", "measure", "convert"),
    ("filming",),
    ("training",),
    ("cli",),
)
"""The packages and single files of miva_core, bottom up. Each may import what stands below it, and none beside it."""
ENGINE, ENTRY = "miva_core", ("__init__", "__main__")
FOLDERS = (ENGINE, "nodes", "tools", "benchmarks")
COMFYUI = {
    "comfy",
    "comfy_api",
    "comfy_api_nodes",
    "comfy_config",
    "comfy_execution",
    "comfy_extras",
    "execution",
    "folder_paths",
    "latent_preview",
    "nodes",
    "server",
}
"""What the modules of ComfyUI are called."""
BRIDGE, NODE_API = ("nodes.comfy_bridge",), "comfy_api.v0_0_2"
OF_ONE_BASE = (
    "miva_core.bases",
    "miva_core.convert",
    "nodes.comfy_bridge.native.wan_host",
    "nodes.comfy_bridge.native.motion_module",
    "nodes.comfy_bridge.native.motion_network",
    "nodes.comfy_bridge.native.unet_layout",
)
"""What may know a base by its name; `convert` reads research checkpoints, which are of one base each, and a host, its
layout and its motion modules are of one kind of MODEL."""
KNOW_DIFFUSERS = ("miva_core.bases", "miva_core.training.gradient_checkpointing")
"""What of the engine may know the library whose models most bases are; its switch for gradients is one of theirs."""


@dataclass(frozen=True)
class Import:
    """One import statement, or one name of it.

    Attributes:
        module: what imports, dotted from the root of the repository.
        target: what is imported, likewise; a module of the repository where it is one.
        relative: whether it is written with leading dots.
    """

    module: str
    target: str
    relative: bool

    @property
    def layer(self) -> str:
        """The part of the engine that imports."""
        return part_of(self.module)


def part_of(module: str) -> str:
    """`adapters` of miva_core.adapters.config; the entries of the engine for miva_core itself."""
    _, _, rest = module.partition(".")
    return rest.partition(".")[0] or "__init__"


def is_in(module: str, packages: Iterable[str]) -> bool:
    """Whether a module is one of the packages or stands in one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def module_of(path: Path, root: Path) -> str:
    """The dotted name of a file; a package's is that of its folder."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def all_imports(root: Path) -> list[Import]:
    """Every import in the sources of a repository."""
    files = sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.py"))
    modules = {module_of(path, root) for path in files}
    return [found for path in files for found in _imports_in(path, root, modules)]


def _imports_in(path: Path, root: Path, modules: set[str]) -> Iterator[Import]:
    module = module_of(path, root)
    package = path.relative_to(root).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(module, alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package[: len(package) + 1 - node.level] if node.level else ()
            outside = [".."] * (node.level - 1 - len(package))
            source = ".".join([*outside, *parts, *([node.module] if node.module else [])])
            for alias in node.names:
                name = f"{source}.{alias.name}" if source else alias.name
                yield Import(module, name if name in modules or not source else source, node.level > 0)


def _climbs(one: Import) -> bool:
    """A package of the engine imports one that does not stand below it."""
    if not (is_in(one.module, [ENGINE]) and is_in(one.target, [ENGINE])):
        return False
    layer, target = one.layer, part_of(one.target)
    return layer not in ENTRY and layer != target and _height(target) >= _height(layer)


def _height(part: str) -> int:
    return next((height for height, layer in enumerate(LAYERS) if part in layer), len(LAYERS))


def _leaves_the_engine(one: Import) -> bool:
    """In ComfyUI the package has another name, so that it must find itself by relative imports."""
    if not is_in(one.module, [ENGINE]):
        return False
    return not is_in(one.target, [ENGINE]) if one.relative else is_in(one.target, FOLDERS)


LAWS: dict[str, Callable[[Import], bool]] = {
    "a package imports only what stands below it": _climbs,
    "attention knows no scheduler": lambda one: (
        is_in(one.module, ["miva_core.attention"]) and is_in(one.target, ["miva_core.diffusion"])
    ),
    "only bases know diffusers": lambda one: (
        is_in(one.module, [ENGINE, "nodes"])
        and is_in(one.target, ["diffusers"])
        and not is_in(one.module, KNOW_DIFFUSERS)
    ),
    "the engine knows no ComfyUI": lambda one: (
        is_in(one.module, [ENGINE]) and not one.relative and is_in(one.target, COMFYUI)
    ),
    "the engine imports itself alone, and relatively": _leaves_the_engine,
    "of the nodes only the bridge touches ComfyUI's own modules": lambda one: (
        is_in(one.module, ["nodes"])
        and not is_in(one.module, BRIDGE)
        and not one.relative
        and is_in(one.target, COMFYUI)
        and not is_in(one.target, [NODE_API])
    ),
    "nodes know neither the command line nor what is not installed": lambda one: (
        is_in(one.module, ["nodes"]) and is_in(one.target, ["miva_core.cli", "tools", "benchmarks", "tests"])
    ),
    "tools make what ships, and need no measurement of it": lambda one: (
        is_in(one.module, ["tools"]) and is_in(one.target, ["benchmarks", "nodes"])
    ),
}
"""Each law with what breaks it."""
NO_BASE_BY_NAME = "the method knows no base by name"


def broken_laws(root: Path) -> list[str]:
    """One sentence for each import that breaks a law, name of a base, package without a layer and circle of imports."""
    imports = all_imports(root)
    found = [
        f"{one.module} imports {one.target}: {law}" for law, breaks in LAWS.items() for one in imports if breaks(one)
    ]
    names = {path.parent.name for path in (root / ENGINE / "bases").glob("*/__init__.py")}
    bases = [f"{ENGINE}.bases.{name}" for name in names]
    found += [
        f"{one.module} imports {one.target}: {NO_BASE_BY_NAME}"
        for one in imports
        if is_in(one.target, bases) and is_in(one.module, [ENGINE, "nodes"]) and not is_in(one.module, OF_ONE_BASE)
    ]
    found += [f"{module} holds {name!r}: {NO_BASE_BY_NAME}" for module, name in texts_in(root) if name in names]
    parts = {
        path.stem for path in (root / ENGINE).iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    placed = {*ENTRY, *(part for layer in LAYERS for part in layer)}
    found += [f"miva_core.{part} stands in no layer" for part in sorted(parts - placed)]
    return found + [f"{' and '.join(circle)} import each other" for circle in circles(imports)]


def texts_in(root: Path) -> Iterator[tuple[str, str]]:
    """Every literal text in what is to know no base by name, after the module that it stands in."""
    for path in sorted(path for folder in (ENGINE, "nodes") for path in (root / folder).rglob("*.py")):
        module = module_of(path, root)
        if not is_in(module, OF_ONE_BASE):
            nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
            yield from ((module, text) for text in texts if isinstance(text, str))


def circles(imports: Iterable[Import]) -> list[list[str]]:
    """Groups of modules of which each reaches all others by imports."""
    reached: dict[str, set[str]] = {}
    for one in imports:
        if one.target != one.module:
            reached.setdefault(one.module, set()).add(one.target)
    for between in list(reached):
        for targets in reached.values():
            if between in targets:
                targets |= reached[between]
    groups = {
        tuple(sorted(other for other in ends if start in reached.get(other, ()))) for start, ends in reached.items()
    }
    return sorted(list(group) for group in groups if group)
