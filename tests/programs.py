"""Programs of torch.export as the bytes of their files, and files that nobody's torch wrote."""

import copy
import io
import json
import random
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

MEMBER, TABLE = "models/model.json", "data/weights/model_weights_config.json"
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    10**30,
    1.5,
    "",
    "x",
    "a.b:c@1",
    "x" * 5_000,
    [],
    {},
    [[]],
    {"as_int": -5},
)


def exported(module: Any, args: tuple[Any, ...], *, decompose: bool = False, **options: Any) -> Any:
    """The program of a module; with its operators taken apart, where that is asked for."""
    import torch

    with warnings.catch_warnings():
        # Of its own workings: weights of recurrent layers, classes it no longer likes.
        warnings.simplefilter("ignore")
        found = torch.export.export(module, args, **options)
        return found.run_decompositions() if decompose else found


def program_of(module: Any, args: tuple[Any, ...], **options: Any) -> bytes:
    """What torch.export.save writes of it."""
    import torch

    program, file = exported(module, args, **options), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, file)
    return file.getvalue()


def member_in(archive: bytes, name: str = MEMBER) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return opened.read(next(found for found in opened.namelist() if found.endswith(name)))


def document_in(archive: bytes) -> Any:
    """The JSON of a program."""
    return json.loads(member_in(archive))


def packed(document: Any, **members: Any) -> bytes:
    """An archive of a program's JSON, or of a text; `members` are others by their names."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {f"net/{MEMBER}": document, **members}.items():
            archive.writestr(name, content if isinstance(content, str | bytes) else json.dumps(content))
    return file.getvalue()


def edited(archive: bytes, edit: Callable[[Any], object]) -> bytes:
    """A program with its JSON edited in place."""
    document = document_in(archive)
    edit(document)
    return packed(document)


def nodes_of(document: Any) -> list[Any]:
    found: list[Any] = document["graph_module"]["graph"]["nodes"]
    return found


# --- mutations ---


def places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (list or mapping, its index or key) in a document."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places_in(value[key])


def mutated(archive: bytes, source: random.Random) -> bytes:
    """The same with one to four things changed in its JSON, or in its bytes."""
    if source.random() < 0.2:
        return _torn(archive, source)
    document = copy.deepcopy(document_in(archive))
    for _ in range(source.randint(1, 4)):
        places = list(places_in(document))
        holder, key = source.choice(places)
        change = source.randrange(5)
        if change == 0:
            del holder[key]
        elif change == 1:
            holder[key] = source.choice(ODD)
        elif change == 2 and isinstance(holder[key], int) and not isinstance(holder[key], bool):
            holder[key] = source.choice((0, 1, -1, holder[key] + 1, holder[key] * 1000, 2**31 - 1, 2**62))
        elif change == 3:
            # What stands elsewhere: another name, another node, another type.
            other, place = source.choice(places)
            if isinstance(other, dict) == (place in other if isinstance(other, dict) else False) or place in range(
                len(other)
            ):
                holder[key] = copy.deepcopy(other[place])
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(source.choice(holder)))
    return packed(document)


def _torn(archive: bytes, source: random.Random) -> bytes:
    torn = bytearray(archive)
    for _ in range(source.randint(1, 8)):
        # Its directory, at the end, is what is read most.
        start = 0 if source.random() < 0.5 else max(len(torn) - 3_000, 0)
        place = source.randrange(start, len(torn))
        if source.random() < 0.1:
            del torn[place:]
            if not torn:
                break
        else:
            torn[place] = source.randrange(256)
    return bytes(torn)
