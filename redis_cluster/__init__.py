"""Redis for those who write it and those who read it: one server, or the masters of a cluster."""
