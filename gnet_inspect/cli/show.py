"""`gnet-inspect show`: a spec's own text."""

from gnet_inspect.cli import options


def show(model: options.Model, output: options.Output = None) -> None:
    """Print a spec: the start of a variant of your own.

    Example: gnet-inspect show googlenet > mine.yaml
    """
    from gnet_inspect.cli.models import need_specs
    from gnet_inspect.cli.output import emit
    from gnet_inspect.language import parse_spec

    options.check_ending(output, "yaml")
    need_specs([model], "show", "which has a text")
    text, file = options.read_text(model)
    parse_spec(text, file)
    emit(text.decode("utf-8-sig"), output)
