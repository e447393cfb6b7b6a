"""Pictures of results, a file a kind. Nothing here runs anything.

Every ``draw_...`` takes plain data, the looks of the methods (`style.looks`, made once for a
comparison, so that a method looks the same everywhere), and a path without an ending. It writes an
SVG and a PNG and returns their paths.
"""
