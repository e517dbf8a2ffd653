"""A run on a Ray cluster: the same training, its processes started by Ray Train. Ray is imported when it is used."""

from tunesmith.tuning.cluster.config import ClusterConfig

__all__ = ["ClusterConfig"]
