"""Performance and quality claims, one command each; docs/benchmarks.md holds what they printed."""
