"""Making good what was not counted or wrong: letters sent again, closed windows recounted."""
