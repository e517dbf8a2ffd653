"""Records, task, errors, registry, configuration, statistics, plots and the store: what every layer stands on."""
