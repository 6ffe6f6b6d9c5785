"""Trip files of public data: which format a file has, and its rows as trips.

A file is opened (`input_files`), its format recognised by its columns (`recognition`, with the
table in `known_formats`), and its rows read in batches (`trip_reader`). The audit reads files with
this package, too; it imports nothing else of the producer.
"""
