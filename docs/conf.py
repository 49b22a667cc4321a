"""The documents as pages: Sphinx with MyST and furo. “make docs” builds them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from included import METADATA

project = "Instant"
author = METADATA["authors"][0]["name"]
version = release = METADATA["version"]
project_copyright = author

extensions = ["myst_parser", "included"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 4
nitpicky = True
# A highlighter may not know a language as well as the tests do, which run or compile every block.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = f"Instant {version}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0b6b57",
        "color-brand-content": "#0b6b57",
        "color-brand-visited": "#0b6b57",
    },
    "dark_css_variables": {
        "color-brand-primary": "#56c7b0",
        "color-brand-content": "#56c7b0",
        "color-brand-visited": "#56c7b0",
    },
}
