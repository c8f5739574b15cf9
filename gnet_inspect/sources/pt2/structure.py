"""How a network is called and what it returns: the names of its arguments, and of the places in its results."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from gnet_inspect.sources.bounds import MAX_DEPTH, MAX_NAME
from gnet_inspect.sources.pt2.form import Called, CallSignature, Tree

_LEAF = None
_DICTS = ("builtins.dict", "collections.OrderedDict", "collections.defaultdict")


class Places(NamedTuple):
    """What each argument and each result is called; "" where that is not told."""

    inputs: list[str]
    outputs: list[str]
    names_outputs: bool


def places_of(called: Sequence[Called], inputs: int, outputs: int) -> Places:
    """The names of so many arguments and results, as the root's signature tells them. A structure that is not
    understood, of a class of somebody's own, tells none: values then have the names that the operators know."""
    signature = next((item.signature for item in called if not item.fqn and item.signature), CallSignature())
    given, made = _tree(signature.in_spec), _tree(signature.out_spec)
    names: list[str] = []
    if given is not None and len(given.children_spec) == 2:
        args, kwargs = given.children_spec
        arguments = signature.forward_arg_names or []
        for index, child in enumerate(args.children_spec):
            names += _leaves(child, arguments[index] if index < len(arguments) else f"input{index}", 0)
        for key, child in zip(_keys(kwargs), kwargs.children_spec, strict=False):
            names += _leaves(child, key, 0)
    results = _leaves(made, "", 0) if made is not None else []
    if len(names) != inputs or not all(names):
        names = [""] * inputs
    if len(results) != outputs or len(set(results)) < outputs:
        return Places(names, [str(index) if outputs > 1 else "" for index in range(outputs)], names_outputs=False)
    return Places(names, results, names_outputs=made is not None and made.type is not _LEAF and _has_keys(made))


def _tree(text: str) -> Tree | None:
    """A structure; None where it is none."""
    try:
        return msgspec.json.decode(text, type=tuple[int, Tree])[1]
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def _leaves(tree: Tree, path: str, depth: int) -> list[str]:
    """The place of each leaf of a structure, in order."""
    if tree.type is _LEAF:
        return [path]
    if depth > MAX_DEPTH:
        return []
    found: list[str] = []
    for key, child in zip(_keys(tree), tree.children_spec, strict=False):
        found += _leaves(child, f"{path}.{key}" if path else key, depth + 1)
    return found


def _has_keys(tree: Tree) -> bool:
    return tree.type in _DICTS or _named(tree) is not None


def _keys(tree: Tree) -> list[str]:
    """What the children of a structure are called: keys, or numbers."""
    return _named(tree) or [str(index) for index in range(len(tree.children_spec))]


def _named(tree: Tree) -> list[str] | None:
    """The keys of a mapping, which its context lists; None of what has none."""
    try:
        found = msgspec.json.decode(tree.context or "", type=list[str | int])
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    fits = len(found) == len(tree.children_spec) and all(len(str(key)) <= MAX_NAME for key in found)
    return [str(key) for key in found] if fits and found else None
