"""Windows as they change, as Server-Sent Events (WHATWG HTML, section 9.2).

Why not Litestar's parts for this: its channels lose track of a subscriber whose request is
cancelled, and by default keep what it has not read for ever; its events are encoded again for each
reader, and a generator that is suspended while a reader goes away ends when it is collected.
"""
