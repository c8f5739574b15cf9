"""A Graph as a person would write it: blocks with parameters, branches, stages; as the text of a spec."""
