"""The lessons' room: Streamlit. It may import `app.stage` and what the pages may; so far it holds the stage as a lesson mounts it."""
