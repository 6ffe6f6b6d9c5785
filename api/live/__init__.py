"""Live events: windows as they change, as Server-Sent Events (WHATWG HTML, section 9.2).

Litestar's own channels are not used: they keep a subscriber whose request was cancelled, and by
default do not limit the events that it has not read. Its events are encoded again for each client,
and the generator of a client that disconnects ends only when it is garbage collected.
"""
