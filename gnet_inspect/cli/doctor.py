"""`gnet-inspect doctor`: what this machine has, and how to get what it lacks."""

from gnet_inspect.cli import options


def doctor(style: options.Format = "table", output: options.Output = None) -> None:
    """What this machine has, and how to get the rest.

    Example: gnet-inspect doctor
    """
    from gnet_inspect.cli.output import emit_result
    from gnet_inspect.runtime.environment import examine
    from gnet_inspect.views.tables.doctor import doctor_grid

    options.table_format(style, output)
    result = examine()
    emit_result(result, style, output, lambda: doctor_grid(result))
