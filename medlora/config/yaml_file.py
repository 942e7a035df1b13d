"""A YAML file as settings, each with line and column; what is wrong with it, all of it."""

import stat
from collections.abc import Iterator
from pathlib import Path

import yaml

from medlora.config.schema import KEYS, section_at
from medlora.config.sourced_value import Setting, construct
from medlora.config.suggestions import nearest_section

_DEEPEST = 4  # sections within sections; a file that is deeper means none of ours
_NULL = "tag:yaml.org,2002:null"
_MOST_BYTES = 1 << 18  # every key, explained, is a tenth of it
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def from_yaml(file: Path) -> Iterator[Setting]:
    """Yield the settings of a YAML file; what cannot be one says why.

    A section with a typing mistake in its name is reported, and its keys are read all the same.
    """
    text = _read(file)
    if isinstance(text, Setting):
        yield text
        return
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        yield _not_yaml(file, text, error)
    except RecursionError:
        yield Setting((), None, str(file), problem="nested too deeply: three levels are enough")
    else:
        if root is not None:
            yield from _section(root, (), str(file))


def _read(file: Path) -> str | Setting:
    try:
        unfit = _unfit(file)
        if unfit:
            return Setting((), None, str(file), problem=unfit)
        # Line breaks as they are: YAML counts them itself.
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problem = f"byte {error.start} is not UTF-8: save the file as UTF-8"
        return Setting((), None, f"{file}:{line}", problem=problem)
    except OSError as error:
        return Setting((), None, str(file), problem=f"{error.strerror}: name a readable YAML file")


def _unfit(file: Path) -> str | None:
    """Return why something is not read at all: opening a pipe waits, and a device has no end."""
    status = file.stat()
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind:
        return f"is {kind}: name a YAML file"
    if status.st_size > _MOST_BYTES:
        return f"has {status.st_size:,} bytes: a config has {_MOST_BYTES:,} at most"
    return None


def _not_yaml(file: Path, text: str, error: yaml.YAMLError) -> Setting:
    """Say what no YAML parser can read, and where."""
    mark = getattr(error, "problem_mark", None)
    if mark:
        line, column = mark.line, mark.column
    else:  # a character that YAML forbids; known by its place in the text
        before = text[: getattr(error, "position", 0)]
        line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
    what = getattr(error, "problem", None) or "a control character, which YAML does not allow"
    where = f"{file}:{line + 1}"
    return Setting((), None, where, at=f"{where}:{column + 1}", problem=f"not YAML: {what}")


def _section(node: yaml.Node, path: tuple[str, ...], file: str) -> Iterator[Setting]:
    """Yield the leaves below a node; a section's null counts as an empty section."""
    if not isinstance(node, yaml.MappingNode):
        if not _is_null(node):
            what = ".".join(path) or "the file"
            problem = f"{what} must be a section of `key: value` lines (got {_kind(node)})"
            yield _at(node, path, file, problem=problem)
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            yield _at(key, path, file, problem=f"a key must be a word (got {_kind(key)})")
            continue
        name, line = str(key.value), key.start_mark.line + 1
        here = (*path, name)
        if name in seen:
            twice = f"{'.'.join(here)} is set twice, first in line {seen[name]}: delete one"
            yield _at(key, here, file, problem=twice)
            continue
        seen[name] = line
        yield from _entry(key, value, here, file)


def _entry(key: yaml.Node, value: yaml.Node, path: tuple[str, ...], file: str) -> Iterator[Setting]:
    """Yield what one `key: value` of a section means."""
    if section_at(path):
        yield from _section(value, path, file)
    elif ".".join(path) in KEYS and not any("." in name for name in path):
        yield _at(value, path, file, line=key, value=construct(value))
    elif ".".join(path) in KEYS:
        section, _, name = path[-1].rpartition(".")
        problem = f"{path[-1]} has a dot: write `{section}:`, and `{name}:` below it"
        yield _at(key, path, file, problem=problem)
    else:
        yield from _unknown(key, value, path, file)


def _unknown(
    key: yaml.Node, value: yaml.Node, path: tuple[str, ...], file: str
) -> Iterator[Setting]:
    """Yield an unknown key; below a misspelt section, what is wrong there as well."""
    names, below = path, value
    while isinstance(below, yaml.MappingNode) and len(below.value) == 1 and len(names) < _DEEPEST:
        name, below = below.value[0]
        names = (*names, str(name.value))
    meant = nearest_section(path) if isinstance(value, yaml.MappingNode) else None
    if isinstance(below, yaml.MappingNode):  # several keys: it is the section that is meant
        hint = f"; did you mean {meant}?" if meant else ""
        yield _at(key, path, file, problem=f"unknown section {'.'.join(path)}{hint}")
    else:
        yield _at(key, names, file, value=construct(below))
    right = tuple(meant.split(".")) if meant else ()
    if right and right != path and len(path) < _DEEPEST and not _holds_itself(value):
        yield from _section(value, right, file)


def _holds_itself(node: yaml.Node, above: tuple[int, ...] = ()) -> bool:
    """Tell whether an alias stands below its own anchor."""
    if id(node) in above:
        return True
    if not isinstance(node, yaml.CollectionNode):
        return False
    if isinstance(node, yaml.MappingNode):
        inner = [part for pair in node.value for part in pair]
    else:
        inner = node.value
    return any(_holds_itself(part, (*above, id(node))) for part in inner)


def _at(
    node: yaml.Node,
    path: tuple[str, ...],
    file: str,
    *,
    line: yaml.Node | None = None,
    value: object = None,
    problem: str = "",
) -> Setting:
    """Return a setting that stands at a node; its origin is the line of `line`."""
    start, origin = node.start_mark, (line or node).start_mark
    at = f"{file}:{start.line + 1}:{start.column + 1}"
    return Setting(path, value, f"{file}:{origin.line + 1}", at=at, problem=problem)


def _kind(node: yaml.Node) -> str:
    kinds = {yaml.MappingNode: "a section", yaml.SequenceNode: "a list"}
    return next((name for kind, name in kinds.items() if isinstance(node, kind)), "a value")


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL
