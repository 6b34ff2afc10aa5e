"""Trainings in the background: each is a process of its own that outlives whoever started it.

    names      what a run may be called, and its folder
    state      what a run's folder says: queued, running, paused, stopped, finished, failed or interrupted; how far, how fast
    index      a SQLite index over many folders, made again from them where it is lost
    queue      so many at once, the others in the order in which they were asked for, without a master process
    work       the process that keeps a training: waits for its turn, runs it, writes down how it ended
    control    start, stop, pause, resume, delete
    curves     a run's records, few enough to draw

The folders are the truth; nothing here has to run for a training to go on. Imports neither torch nor the trainers, but where a recipe is read.
"""

from trainers.jobs.control import delete, log, pause, resume, start, stop
from trainers.jobs.curves import Curves, curves
from trainers.jobs.index import Index
from trainers.jobs.names import folder_of
from trainers.jobs.queue import limit, set_limit
from trainers.jobs.state import RunState, read_state

__all__ = [
    "Curves",
    "Index",
    "RunState",
    "curves",
    "delete",
    "folder_of",
    "limit",
    "log",
    "pause",
    "read_state",
    "resume",
    "set_limit",
    "start",
    "stop",
]
