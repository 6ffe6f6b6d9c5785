"""Files of trips into the log of a running system; those that come late are recounted."""
