"""The pages in a browser: a package, so that browser and system end with its last test."""
