"""Bundled workspaces: data files, copied by `tunesmith demo` and `tunesmith init --example`."""
