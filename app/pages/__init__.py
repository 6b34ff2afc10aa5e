"""The pages, each a function `build` that returns Gradio blocks; what moves on them is the browser's own work (app/stage/)."""
