"""What people see: one FastAPI process with the pages, the stage that they share, and the endpoints behind them. `python -m app` opens it.

This room may import everything below it (`toy`, `trainers`, `lab`), but the process that serves pages never imports torch, directly or through them: it starts fast and stays
small. What needs torch runs in worker processes (`app.workers`), whose functions are in `app.tasks`; `app.endpoints` are the requests that reach them, one file for each idea.
"""
