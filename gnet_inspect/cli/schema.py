"""`gnet-inspect schema`: the JSON Schema of specs."""

from gnet_inspect.cli import options


def schema(output: options.Output = None) -> None:
    """Print the JSON Schema of specs, for editors.

    With it an editor completes and checks a spec as it is typed.

    Example: gnet-inspect schema -o gnet-inspect.schema.json
    """
    from gnet_inspect.cli.output import emit
    from gnet_inspect.language.schema import json_schema
    from gnet_inspect.views.json import draw_json

    options.check_ending(output, "json")
    emit(draw_json(json_schema()), output)
