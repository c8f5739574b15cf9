"""`python -m gnet_inspect`."""

from gnet_inspect.cli import main

main()
