"""Finds methods by their files: a method is a file in this folder, or in one of the user's, and nothing else changes.

What a method says about itself (`info = MethodInfo(...)`) is read from its text, so listing methods and showing records
imports none of them; a method's code is imported when it is used.
"""

import ast
import importlib
import importlib.util
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mngnas.errors import UserError, unknown
from mngnas.methods.info import KINDS, MethodInfo
from mngnas.spaces import Space

if TYPE_CHECKING:
    from mngnas.methods.base import Method

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
_KIND_ORDER = {kind: place for place, kind in enumerate(KINDS)}


@dataclass(frozen=True)
class MethodEntry:
    """A method that was found."""

    info: MethodInfo
    path: Path
    class_name: str

    def load(self) -> "type[Method]":
        """Import the method's file; raises `UserError` for a user's file that cannot be imported."""
        if self.path.is_relative_to(_HERE):
            module = importlib.import_module(".".join(self.path.relative_to(_ROOT).with_suffix("").parts))
        else:
            module = _import_file(self.path)
        found: type[Method] = getattr(module, self.class_name)
        return found


@lru_cache(maxsize=16)
def methods(folders: tuple[Path, ...] = ()) -> Mapping[str, MethodEntry]:
    """All methods by name, those in the user's `folders` included; by kind, then in the order of their labels.

    Raises `UserError` for a folder that is none, a file that cannot be read, and a name that is taken.
    """
    found: dict[str, MethodEntry] = {}
    for folder in (_HERE, *folders):
        if not folder.is_dir():
            raise UserError(f"there is no folder of methods {folder}")
        for path in sorted(folder.rglob("*.py") if folder == _HERE else folder.glob("*.py")):
            for entry in _entries(path.resolve()):
                name = entry.info.name
                if name in found:
                    raise UserError(f"{path}: there is a method {name!r} already, in {found[name].path.name}")
                found[name] = entry
    order = sorted(found.values(), key=lambda e: (_KIND_ORDER[e.info.kind], e.info.label.lower()))
    return {entry.info.name: entry for entry in order}


def method_entry(name: str, folders: tuple[Path, ...] = ()) -> MethodEntry:
    """The method of this name; raises `UserError` for an unknown one."""
    known = methods(folders)
    if name not in known:
        raise unknown("strategy", name, known)
    return known[name]


def check_space(entry: MethodEntry, space: Space) -> None:
    """Raise `UserError` if the method does not run in a search space, saying why."""
    reason = entry.info.not_in.get(space.name)
    if reason is None and entry.info.kind == "gradient" and not space.mixes:
        reason = "its options are widths of shared channels, not operations that a mixture could weigh"
    if reason:
        raise UserError(f"{entry.info.name} does not run in {space.name}: {reason}")


def _entries(path: Path) -> Iterator[MethodEntry]:
    """The classes of a file that have an `info = MethodInfo(...)`."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text) if "MethodInfo(" in text else None
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{path} cannot be read as a method ({type(error).__name__}: {error})") from error
    for node in tree.body if tree else ():
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                if _is_info(statement):
                    yield MethodEntry(_info(path, statement.value), path, node.name)  # type: ignore[attr-defined]


def _is_info(statement: ast.stmt) -> bool:
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return (
        isinstance(statement, ast.Assign | ast.AnnAssign)
        and any(isinstance(target, ast.Name) and target.id == "info" for target in targets)
        and isinstance(statement.value, ast.Call)
    )


def _info(path: Path, call: ast.Call) -> MethodInfo:
    names = [field.name for field in fields(MethodInfo)]
    try:
        values = dict(zip(names, map(ast.literal_eval, call.args), strict=False))
        values |= {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
        info = MethodInfo(**values)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: MethodInfo takes literals for {', '.join(names)} ({error})") from error
    if info.kind not in KINDS:
        raise UserError(f"{path}: {unknown('kind', info.kind, KINDS)}")
    return info


def _import_file(path: Path) -> Any:
    """A user's file as a module of its own."""
    name = f"mngnas_user_methods_{abs(hash(str(path)))}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(f"{path} cannot be imported ({type(error).__name__}: {error})") from error
    return module


# --------------------------------------------------------------------------------------------------------- variants


def parse_variant(text: str) -> tuple[str, dict[str, Any]]:
    """Read "name" or "name[field=value,...]"; values are TOML, or words without quotation marks. Raises `UserError`."""
    name, bracket, rest = text.strip().partition("[")
    if not bracket:
        return name, {}
    if not rest.endswith("]"):
        raise UserError(f"strategy {text!r} has a bracket that does not close: name[field=value,...]")
    changes: dict[str, Any] = {}
    for part in split_outside_brackets(rest[:-1]):
        field, equals, value = part.partition("=")
        if not equals or not field.strip():
            raise UserError(f"strategy {text!r}: {part!r} is not field=value")
        if field.strip() in changes:
            raise UserError(f"strategy {text!r} sets {field.strip()!r} twice")
        changes[field.strip()] = toml_value(value.strip())
    return name.strip(), changes


def toml_value(text: str) -> Any:
    """A TOML value, or the text itself where it is none: a word without its quotation marks."""
    try:
        found = tomllib.loads(f"value = {text}")
        return found["value"] if len(found) == 1 else text  # a line break could begin another entry
    except (ValueError, RecursionError):  # no TOML, a number of thousands of digits, brackets nested as deep
        return text


def split_outside_brackets(text: str) -> list[str]:
    """The parts between commas that are not inside brackets or quotation marks."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "[]":
            depth += 1 if character == "[" else -1
        elif character == "," and not depth:
            parts.append("")
            continue
        parts[-1] += character
    return parts


def select(patterns: str, folders: tuple[Path, ...] = ()) -> list[tuple[str, dict[str, Any]]]:
    """The methods that names, variants and shell-style patterns, separated by commas, mean; "!" before one leaves out.

    In the order of the patterns, and of `methods` within one; each once. Raises `UserError` for a pattern that matches
    nothing, and if nothing is left.
    """
    known, picked = methods(folders), dict[str, tuple[str, dict[str, Any]]]()
    for pattern in split_outside_brackets(patterns):
        wanted = pattern.strip().removeprefix("!")
        name, changes = parse_variant(wanted)
        found = [one for one in known if fnmatchcase(one, name)] if "[" not in wanted else [name]
        if not found or found[0] not in known:
            raise unknown("strategy", name, known)
        for one in found:
            key = f"{one} {sorted(changes.items(), key=str)}"
            if pattern.strip().startswith("!"):
                picked.pop(key, None)
            else:
                picked[key] = (one, changes)
    if not picked:
        raise UserError(f"strategy {patterns!r} leaves none")
    return list(picked.values())


def method_of_record(name: str) -> tuple[MethodInfo, dict[str, Any]]:
    """The method and the changes that an older record's name stands for; one that nobody knows stands for itself."""
    known = methods()
    if name in known:
        return known[name].info, {}
    for entry in known.values():
        if name in entry.info.former:
            return entry.info, parse_variant(entry.info.former[name])[1]
    return MethodInfo(name, name, "", "", "supernet"), {}
