"""A result -> JSON: the record's own fields, in their order, indented."""

import msgspec


def draw_json(result: object) -> str:
    """Any of the package's result records as indented JSON with a final newline."""
    return msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n"
