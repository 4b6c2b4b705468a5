"""`reasonir-trainer inspect`: a data set as one page to read, finished or not.

page.py        the page, written atomically
gathering.py   what is read from a folder: counts over everything, a few texts
sections.py    what is said; examples.py: rows and repetitions to read
histogram.py   the pictures
blocks.py      what sections are made of, beside the blocks of `reasonir report`
templates/     the markup and the style that the report's do not have
"""

from __future__ import annotations

from reasonir_trainer.inspecting.page import Page, write_page

__all__ = ["Page", "write_page"]
