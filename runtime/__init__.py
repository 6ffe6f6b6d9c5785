"""Running a flow: launcher, process group, recovery folder, signals, metrics and status."""
