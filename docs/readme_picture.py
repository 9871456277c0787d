"""Draw the picture of README.md: that of docs/examples/plot_faithful.py, into docs/_static/faithful.png.

python docs/readme_picture.py
"""

from __future__ import annotations

import io
import runpy
from pathlib import Path

import matplotlib as mpl
from PIL import Image  # Matplotlib needs it, too

HERE = Path(__file__).parent

mpl.use("Agg")
figure = runpy.run_path(str(HERE / "examples" / "plot_faithful.py"))["figure"]
drawn = io.BytesIO()
figure.savefig(drawn, dpi=120)
# 96 colours are enough, at a third of the size.
Image.open(drawn).convert("RGB").quantize(96).save(
    HERE / "_static" / "faithful.png", optimize=True
)
