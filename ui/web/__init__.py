"""The Gradio pages, mounted in FastAPI."""
