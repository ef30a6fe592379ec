"""Small pictures beside words: lines on a grid of 16, in the colour of the text. They say nothing that no word says."""

from __future__ import annotations

LINES = {
    # pages
    "home": "M2.5 7.5 8 3l5.5 4.5M4 6.5v6.5h8V6.5M6.8 13V9.5h2.4V13",
    "train": "M2.5 12.5 6 8.5l2.5 2 5-6.5M10 4h3.5v3.5",
    "jobs": "M3 4h10M3 8h10M3 12h6",
    "compare": "M3 3v10h10M5.5 10.5 8 6l2 2.5 3-5M5.5 7l2.5 4 5-2",
    "evaluate": "M3 13V9.5M6.3 13V6M9.7 13V8M13 13V3",
    "datasets": (
        "M3 4.2C3 3 5.2 2.5 8 2.5s5 .5 5 1.7-2.2 1.7-5 1.7-5-.5-5-1.7v7.6c0 1.2 2.2 1.7"
        " 5 1.7s5-.5 5-1.7V4.2M3 8c0 1.2 2.2 1.7 5 1.7S13 9.2 13 8"
    ),
    "models": "M8 2.5 13.5 5.5v5L8 13.5l-5.5-3v-5zM2.5 5.5 8 8.5l5.5-3M8 8.5v5",
    "adapters": "M5 2.5v4M11 2.5v4M3.5 6.5h9v2a4.5 4.5 0 0 1-9 0zM8 13v1.5",
    "prompts": "M2.5 3.5h11v7.5H7L4 13.5V11H2.5zM5.5 6h5M5.5 8.5h3",
    "configs": "M2.5 5h6M11.5 5h2M2.5 11h2M7.5 11h6M10 3.5v3M6 9.5v3",
    "activity": "M2 8h3l2-5 2.5 10L11.5 8H14",
    "workers": (
        "M4.5 4.5h7v7h-7zM6.5 2v2.5M9.5 2v2.5M6.5 11.5V14M9.5 11.5V14M2 6.5h2.5M2 9.5h2.5M11.5 6.5H14M11.5 9.5H14"
    ),
    "database": "M3 3h10v4H3zM3 9h10v4H3zM5.2 5h.1M5.2 11h.1",
    "settings": (
        "M8 5.8a2.2 2.2 0 1 0 0 4.4 2.2 2.2 0 0 0 0-4.4M8 1.8v2M8 12.2v2M1.8 8h2M12.2 8h2"
        "M3.6 3.6 5 5M11 11l1.4 1.4M3.6 12.4 5 11M11 5l1.4-1.4"
    ),
    # states
    "queued": "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M8 5v3.2l2 1.3",
    "held": "M6 4v8M10 4v8",
    "starting": "M13.2 6.5A5.5 5.5 0 0 0 3 5.8M2.8 3v3h3M2.8 9.5A5.5 5.5 0 0 0 13 10.2M13.2 13v-3h-3",
    "running": "M5 3.5v9l7-4.5z",
    "stopping": "M4.5 4.5h7v7h-7z",
    "stopped": "M4.5 4.5h7v7h-7z",
    "interrupted": "M9 2 4 9h4l-1 5 5-7H8z",
    "succeeded": "M3 8.5l3.2 3.2L13 5",
    "failed": "M4 4l8 8M12 4l-8 8",
    # actions
    "up": "M8 13V3.5M4 7.5l4-4 4 4",
    "down": "M8 3v9.5M4 8.5l4 4 4-4",
    "top": "M3 2.5h10M8 13.5V6M4.5 9.5 8 6l3.5 3.5",
    "search": "M7 2.8a4.2 4.2 0 1 0 0 8.4 4.2 4.2 0 0 0 0-8.4M10.2 10.2l3.3 3.3",
    "theme": "M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 0 1 0 11",
    "menu": "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
    "download": "M8 2.5v7.5M4.5 6.8 8 10.3l3.5-3.5M3 13.2h10",
    "copy": "M5.5 5.5h7.5v8H5.5zM3 10.5v-8h7.5",
    "warning": "M8 2.5 14 13H2zM8 6.5v3M8 11.2h.1",
}
