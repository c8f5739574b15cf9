"""A program of torch.export as its file, NAME.pt2: read without torch, whose own loader runs what a file asks it to.

The file is a zip archive. Its one JSON file says the operators, the shapes of all values and the modules that ran;
nothing else in it is opened, no weight among it, and no text in it is evaluated.
"""

from gnet_inspect.sources.pt2.reading import read_pt2 as read_pt2
