"""The Graph, whatever it comes from: nodes, the one maker of them, rewriting. It knows no YAML and no torch."""

from gnet_inspect.graph.nodes import INPUT as INPUT
from gnet_inspect.graph.nodes import BlockArgument as BlockArgument
from gnet_inspect.graph.nodes import Graph as Graph
from gnet_inspect.graph.nodes import Group as Group
from gnet_inspect.graph.nodes import Node as Node
from gnet_inspect.graph.nodes import Output as Output
from gnet_inspect.graph.nodes import Run as Run
from gnet_inspect.graph.nodes import Template as Template
from gnet_inspect.graph.nodes import Unreached as Unreached
from gnet_inspect.graph.nodes import Value as Value
from gnet_inspect.graph.nodes import as_graph as as_graph
from gnet_inspect.graph.nodes import node_of as node_of
