"""The live editor: a local page where a spec is typed, and its numbers and its picture follow.

The server (`app.py`) holds no network: two child processes (`worker.py`) read texts, count and draw, and are ended
where they take too long, so that no text keeps the page from answering.
"""
