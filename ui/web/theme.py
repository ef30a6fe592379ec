"""How the pages look: Gradio's components in our colours. Fonts are the reader's own; nothing is fetched."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import gradio as gr
from tunebus.ui.web.markup import Markup
from tunebus.ui.web.words import client_words


def _build_mark() -> str:
    """What tells one build of the pages from another: a page that was loaded from another one loads anew."""
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(Path(__file__).parent.rglob("*.*")):
        if file.suffix in (".py", ".js", ".css", ".toml"):
            digest.update(file.read_bytes())
    return digest.hexdigest()


BUILD = _build_mark()
STATIC = Path(__file__).parent / "static"
STATIC_PATH = f"/tunebus/{BUILD}"
PLOTLY_PATH = "/tunebus/plotly.js"


def theme() -> Any:
    """The theme of every page. `style.css` builds on its variables, so dark and light stay in step."""
    fonts = {
        "font": ["ui-sans-serif", "system-ui", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif"],
        "font_mono": ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
    }
    made = gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
        **fonts,
    )
    return made.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        color_accent="*primary_700",
        block_border_width="0px",
        block_border_width_dark="0px",
        block_shadow="none",
        block_label_text_weight="600",
        block_title_text_weight="600",
        block_title_text_size="*text_sm",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        block_padding="0px",
        input_background_fill="white",
        input_background_fill_dark="*neutral_950",
        input_border_width="1px",
        input_border_width_dark="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_radius="*radius_md",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
        button_secondary_background_fill="white",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_600",
        button_border_width="1px",
        button_large_radius="*radius_md",
        button_transition="background-color .15s",
    )


def styles() -> Markup:
    """Links to our styles, `style.css` before those of single pages."""
    files = sorted(STATIC.glob("*.css"), key=lambda file: (file.name != "style.css", file.name))
    return Markup("".join(f'<link rel="stylesheet" href="{STATIC_PATH}/{file.name}">' for file in files))


def head() -> str:
    """What goes into each page's head: our styles, our scripts, and what these say."""
    words = json.dumps(dict(client_words())).replace("<", "\\u003c")
    return "".join(
        [
            styles(),
            f'<script type="application/json" id="tb-words">{words}</script>',
            f'<meta name="tb-charts" content="{PLOTLY_PATH}">',
            *(
                f'<script type="module" src="{STATIC_PATH}/{file.name}"></script>'
                for file in sorted(STATIC.glob("*.js"))
            ),
        ]
    )


def _plotly() -> Path:
    """Plotly's script as its Python package carries it; the package itself is never imported."""
    found = importlib.util.find_spec("plotly")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "package_data" / "plotly.min.js"


PLOTLY = _plotly()
