"""A model you can ask: chat template, engine, hosted clients, embedder, neighbours."""
