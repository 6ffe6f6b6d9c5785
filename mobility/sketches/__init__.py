"""Sketches: measures of trips in bounded space that merge in any order to the same bytes.

In window state a sketch is a list of 64-bit records, in windows that are emitted its bytes.
"""
