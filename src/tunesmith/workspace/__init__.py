"""The Python API: a workspace whose methods are the verbs of the road. Each verb stands in a file of its own name."""

from tunesmith.workspace.workspace import Workspace

__all__ = ["Workspace"]
