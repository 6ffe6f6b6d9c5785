"""Making good what was not counted: letters looked at, corrected and sent again."""
