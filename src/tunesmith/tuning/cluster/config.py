"""What people set about `tune --on ray` under `cluster:` in tunesmith.yaml. None of it changes what a run is."""

from __future__ import annotations

from pydantic import Field

from tunesmith.core.config import Config

__all__ = ["ClusterConfig"]


class ClusterConfig(Config):
    """Where and how `tune --on ray` trains."""

    address: str | None = None
    """Address of the Ray cluster: HOST:PORT, or auto for the one that this machine belongs to. None: what RAY_ADDRESS
    names, else a cluster of this machine alone, started for the run and ended with it."""
    workers: int | None = Field(None, ge=1)
    """Processes that train together; `--workers` overrides it. None: one a GPU of the cluster, or one a machine where
    there is none."""
    cores_per_worker: int = Field(1, ge=1)
    """Processor cores that each worker reserves and computes on."""
    storage_path: str | None = None
    """Where checkpoints are kept on the way: a folder that all machines see, relative to tunesmith.yaml, or an address
    such as s3://BUCKET/FOLDER. None: the run's own folder, which more than one machine must then see under the same
    path."""
    restarts: int = Field(3, ge=0)
    """How often a run that loses a worker begins again by itself from its last checkpoint."""
