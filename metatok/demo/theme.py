"""How the page looks: neutral greys, no colour but that of the phrases, nothing fetched from elsewhere.

The fonts are IBM Plex, which Gradio brings and this server sends; system fonts stand in for scripts it lacks.
Of the weights that Gradio brings, 400 and 700 are whole; its 600 lacks most letters.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metatok.views import charts


def theme() -> Any:
    """The Gradio theme, for light and dark."""
    import gradio as gr
    from gradio.themes.utils.fonts import LocalFont

    weights = (400, 700)
    return gr.themes.Base(
        font=[LocalFont("IBM Plex Sans", weights), "ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=[LocalFont("IBM Plex Mono", weights), "ui-monospace", "Consolas", "monospace"],
        primary_hue="zinc",
        secondary_hue="zinc",
        neutral_hue="zinc",
        radius_size=gr.themes.sizes.radius_sm,
    ).set(
        body_background_fill="#fafafa",
        body_background_fill_dark="#0e0e10",
        body_text_color="#18181b",
        body_text_color_dark="#f4f4f5",
        body_text_color_subdued="#5b5b66",
        body_text_color_subdued_dark="#a8a8b3",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#17171a",
        background_fill_secondary="#f4f4f6",
        background_fill_secondary_dark="#1f1f23",
        border_color_primary="#e1e1e6",
        border_color_primary_dark="#3a3a42",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_padding="0px",
        input_border_width="1px",
        block_label_text_color="#5b5b66",
        block_label_text_color_dark="#a8a8b3",
        block_info_text_color="#5b5b66",
        block_info_text_color_dark="#a8a8b3",
        block_shadow="none",
        input_background_fill="#ffffff",
        input_background_fill_dark="#17171a",
        input_border_color="#8a8a94",
        input_border_color_dark="#70707b",
        input_placeholder_color="#6b6b76",
        input_placeholder_color_dark="#9a9aa5",
        button_primary_background_fill="#18181b",
        button_primary_background_fill_hover="#3f3f46",
        button_primary_background_fill_dark="#f4f4f5",
        button_primary_background_fill_hover_dark="#d4d4d8",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#111113",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_hover="#f0f0f3",
        button_secondary_background_fill_dark="#1f1f23",
        button_secondary_background_fill_hover_dark="#2c2c32",
        button_secondary_border_color="#d4d4d8",
        button_secondary_border_color_dark="#3f3f46",
        color_accent="#18181b",
        checkbox_background_color_selected="#18181b",
        checkbox_background_color_selected_dark="#f4f4f5",
        checkbox_border_color_selected="#18181b",
        checkbox_border_color_selected_dark="#f4f4f5",
        loader_color="#5b5b66",
    )


def css() -> str:
    """The page's style sheet, and what the charts need of it."""
    return Path(__file__).with_name("page.css").read_text(encoding="utf-8") + charts.CSS
