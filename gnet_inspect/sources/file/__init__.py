"""A Graph as a file of its own, FILE.graph.json: written by whoever has the network, read where there is no torch.

The file holds what was decided, never what follows from it: which op each layer is, with the arguments that are no
defaults, what it reads and where it lies. Shapes and numbers are worked out anew by the one maker of nodes, so that no
file can claim any.
"""

from gnet_inspect.sources.file.form import ENDING as ENDING
from gnet_inspect.sources.file.form import GRAPH_SCHEMA as GRAPH_SCHEMA
from gnet_inspect.sources.file.reading import read_graph_file as read_graph_file
from gnet_inspect.sources.file.writing import write_graph as write_graph
