"""What a function of torch's is called, however it was reached."""

from typing import Any

from gnet_inspect.ops.called import OWN, plain_name


def name_of(func: Any) -> str:
    """A function's name, the same for its method, its operator and what works in place."""
    name: str = getattr(func, "__name__", "") or type(func).__name__
    if name == "__get__":
        name = getattr(getattr(func, "__self__", None), "__name__", name)
    overload = getattr(func, "_overloadpacket", None)
    if overload is not None or hasattr(func, "_qualified_op_name"):
        packet = overload or func
        namespace, _, base = str(packet._qualified_op_name).partition("::")
        name = base if namespace in OWN else f"{namespace}_{base}"
    return plain_name(name)


def is_own(func: Any) -> bool:
    """Whether a function is torch's own."""
    packet = getattr(func, "_overloadpacket", func)
    qualified = getattr(packet, "_qualified_op_name", None)
    if qualified is not None:
        return str(qualified).partition("::")[0] in OWN
    module = getattr(func, "__module__", None)
    # Of what is written in C, only torch's own asks a mode.
    return module is None or str(module).split(".")[0] in ("torch", "builtins")
