"""What runs in worker processes: each function takes the dict that an endpoint read from a request, and returns plain numbers, or bytes where they are many.

These modules import torch and the rooms below, and are imported by workers only (app/workers.py), never by the process that serves pages. They raise
ValueError, in one sentence, for input
that cannot be used.
"""
