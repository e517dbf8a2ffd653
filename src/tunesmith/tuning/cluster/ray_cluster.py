"""A run handed to a Ray cluster by Ray Train, watched from here, and its result brought home."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import psutil

from tunesmith.core.errors import ServiceError, TunesmithError
from tunesmith.core.progress import Progress
from tunesmith.tuning.cluster.config import ClusterConfig
from tunesmith.tuning.cluster.storage import fetch, pack, storage_of
from tunesmith.tuning.job import Job
from tunesmith.tuning.processes import ProcessEnded
from tunesmith.tuning.runfolder import RunFolder
from tunesmith.tuning.tuned import Tuned

__all__ = ["Ear", "RayCluster"]

Say = Callable[[str], None]
LOCAL = "local"
"""Ray's word for a cluster of this machine alone."""
LOOPBACK = "127.0.0.1"
ONLY_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""0 has Ray listen to this machine alone, on every system, whatever the name says."""
LISTEN_SECONDS = 0.5
OBJECT_STORE_BYTES = 256 * 2**20
"""Of a cluster of this machine's own; what does not fit there goes to the disk."""


class Ear:
    """An actor between the workers and here: it keeps what they tell until it is asked."""

    def __init__(self) -> None:
        self._heard: list[tuple[str, tuple[Any, ...]]] = []

    def hear(self, kind: str, told: tuple[Any, ...]) -> None:
        self._heard.append((kind, told))

    def heard(self) -> list[tuple[str, tuple[Any, ...]]]:
        heard, self._heard = self._heard, []
        return heard


class RayCluster:
    """The place of ``trainer.tune`` where a run may learn ``elsewhere``."""

    def __init__(self, config: ClusterConfig) -> None:
        """
        Raises:
            TunesmithError: Ray is not installed.
        """
        settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TRAIN_V2_ENABLED": "1"}
        if _address(config) == LOCAL:
            settings[ONLY_LOOPBACK] = "0"
        for name, value in settings.items():  # Ray reads them when it is imported
            os.environ.setdefault(name, value)
        try:
            import_module("ray.train")
        except ImportError as error:
            raise TunesmithError("`tune --on ray` needs Ray Train.", "pip install 'tunesmith[ray]'") from error
        self._config = config

    def fetch(self, run: RunFolder) -> None:
        """Bring what a cluster kept of the run into its folder, if it went on further there."""
        fetch(run, storage_of(run, self._config.storage_path))

    def learn(self, job: Job, run: RunFolder, *, progress: Progress, say: Say) -> Tuned:
        """Train on the cluster to the end. What was kept there comes home, however it ends.

        Raises:
            ServiceError: The cluster cannot be reached.
            TunesmithError: It has too few cores or GPUs, a worker was lost too often, or as ``trainer.tune``.
            KeyboardInterrupt: On SIGINT. The run goes on from its last look.
        """
        try:
            with _connected(_address(self._config)) as settings:
                said = self._fit(job, run, settings, progress, say)
        finally:
            self.fetch(run)
        if said is not None:
            raise TunesmithError(*said)
        tuned = run.finished()
        if tuned is None:
            raise TunesmithError(
                f"The workers ended without a result in {storage_of(run, self._config.storage_path)}.",
                "set cluster.storage_path to a folder or address that all machines of the cluster reach",
            )
        return tuned

    def _fit(
        self, job: Job, run: RunFolder, settings: dict[str, str], progress: Progress, say: Say
    ) -> tuple[str, str] | None:
        import ray
        from ray import train
        from ray.train.torch import TorchTrainer

        from tunesmith.tuning.cluster.worker import Given, work

        config = self._config
        workers, gpus = _workers(config, ray.cluster_resources(), sum(node["Alive"] for node in ray.nodes()))
        say(f"{workers} worker{'s' if workers > 1 else ''} on a Ray cluster, {'a GPU' if gpus else 'no GPU'} each")
        ear = _ear()
        given = Given(job, run.folder.name, pack(run.folder), ear)
        trainer = TorchTrainer(
            work,
            train_loop_config={"given": given},
            scaling_config=train.ScalingConfig(
                num_workers=workers, use_gpu=gpus, resources_per_worker={"CPU": config.cores_per_worker}
            ),
            run_config=train.RunConfig(
                name=run.folder.name,
                storage_path=storage_of(run, config.storage_path),
                failure_config=train.FailureConfig(max_failures=config.restarts),
                checkpoint_config=train.CheckpointConfig(num_to_keep=1),
                worker_runtime_env={"env_vars": settings},
            ),
        )
        ended = _watched(trainer.fit, lambda: _relay(_heard(ear), progress, say))
        said: tuple[str, str] | None = ended.return_value
        return said


def _ear() -> Any:
    """An ``Ear`` on this machine, if it belongs to the cluster; one whose machine is lost begins on another."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    return ray.remote(Ear).options(num_cpus=0, max_restarts=-1, scheduling_strategy=here).remote()


def _heard(ear: Any) -> list[tuple[str, tuple[Any, ...]]]:
    """What was told since the last time; nothing while the ear is lost, which is no reason to end a run."""
    import ray
    from ray.exceptions import RayActorError

    try:
        heard: list[tuple[str, tuple[Any, ...]]] = ray.get(ear.heard.remote())
    except RayActorError:
        return []
    return heard


def _address(config: ClusterConfig) -> str:
    return config.address or os.environ.get("RAY_ADDRESS") or LOCAL


@contextmanager
def _connected(address: str) -> Iterator[dict[str, str]]:
    """In the block, a cluster is there: the one at ``address``, or one of this machine alone on 127.0.0.1.

    Yields the environment that its workers need.
    """
    import ray

    own: dict[str, Any] = {}
    if address == LOCAL:
        own = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR", **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ServiceError(
            f"The Ray cluster at {address} does not answer: {str(error).splitlines()[0]}",
            "see that it runs (`ray status` on one of its machines), and set cluster.address or RAY_ADDRESS",
        ) from error
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray's own would end without a word
        yield {"GLOO_SOCKET_IFNAME": _loopback()} if own else {}
    finally:
        ray.shutdown()


def _loopback() -> str:
    """Name of the interface that only this machine reaches."""
    found = psutil.net_if_addrs().items()
    name: str = next(name for name, addresses in found if LOOPBACK in {address.address for address in addresses})
    return name


def _workers(config: ClusterConfig, has: dict[str, float], machines: int) -> tuple[int, bool]:
    """How many workers, and whether each has a GPU.

    Raises:
        TunesmithError: The cluster has too few GPUs or cores for them.
    """
    cores, gpus = int(has.get("CPU", 0)), int(has.get("GPU", 0))
    workers = config.workers or gpus or machines
    if 0 < gpus < workers:
        raise TunesmithError(
            f"{workers} workers need a GPU each, and the cluster has {gpus}.", f"tune with `--workers {gpus}`"
        )
    if cores < workers * config.cores_per_worker:
        raise TunesmithError(
            f"{workers} workers with {config.cores_per_worker} core{'s' if config.cores_per_worker > 1 else ''} each "
            f"need more than the {cores} that the cluster has.",
            f"tune with `--workers {max(1, cores // config.cores_per_worker)}`, or set cluster.cores_per_worker lower",
        )
    return workers, gpus > 0


def _watched(fit: Callable[[], Any], listen: Callable[[], None]) -> Any:
    """Run ``fit`` beside this thread, which listens and can be interrupted."""
    from ray.train import TrainingFailedError

    found: list[Any] = []

    def go() -> None:
        try:
            found.append(fit())
        except BaseException as error:  # raised below, in the thread that waits
            found.append(error)

    fitting = threading.Thread(target=go, daemon=True)
    fitting.start()
    while fitting.is_alive():
        fitting.join(LISTEN_SECONDS)
        listen()
    if isinstance(found[0], TrainingFailedError):
        raise _failed(found[0]) from found[0]
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def _failed(error: Any) -> TunesmithError:
    """What to say of workers that failed: the words of the first that did not merely lose another one."""
    failures = [getattr(failure, "_base_exc", failure) for failure in getattr(error, "worker_failures", {}).values()]
    cause = min(failures, key=lambda failure: isinstance(failure, ProcessEnded), default=error)
    if isinstance(cause, TunesmithError):
        return TunesmithError(f"A worker failed: {cause.problem}", cause.mend)
    said = [line.strip() for line in str(cause).splitlines() if line.strip()] or [type(cause).__name__]
    return TunesmithError(
        f"Tuning on the Ray cluster failed: {said[0]}",
        "mend what it names, then run the same command again: it goes on from the last look at validation",
    )


def _relay(heard: list[tuple[str, tuple[Any, ...]]], progress: Progress, say: Say) -> None:
    for kind, told in heard:
        if kind == "progress":
            progress(*told)
        else:
            say(*told)
