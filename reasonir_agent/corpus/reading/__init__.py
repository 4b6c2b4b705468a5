"""Files as documents: finding them, reading their bytes, and a reader for each format.

finding.py    the files under a path, links and unreadable folders named
excluding.py  rules in the syntax of .gitignore
content.py    a file's bytes at one moment, and a stamp
decoding.py   bytes as text, in whatever encoding; guessing.py guesses which
formats.py    which reader reads what, and what every reader is given
sections.py   headings and the sections between them
text.py       text, Markdown, source code
html.py, pdf.py, docx.py, pptx.py, epub.py
records.py    JSON lines, CSV, TSV; parquet.py
archives.py   zip files without decompression bombs; office.py their properties
readers.py    `Readers`: all of this in one hand
process.py    the watch over the child process that reads risky formats; child.py is its program, wire.py their language
problems.py   why a file is not read

A file that cannot be read is data, not an end: it is skipped and named with the reason. Documents are untrusted: links
are not followed out of the folder that the user named, nothing is unpacked without a limit, and formats whose parsers
could crash, hang or fill the memory are read in a child process.
"""

from reasonir_agent.corpus.reading.content import MOST_BYTES, read_content
from reasonir_agent.corpus.reading.decoding import decode
from reasonir_agent.corpus.reading.finding import Finder, FoundFile
from reasonir_agent.corpus.reading.formats import Fields
from reasonir_agent.corpus.reading.problems import Changing, Unreadable
from reasonir_agent.corpus.reading.readers import Readers, read_file
from reasonir_agent.corpus.reading.text import markdown_sections

__all__ = [
    "MOST_BYTES",
    "Changing",
    "Fields",
    "Finder",
    "FoundFile",
    "Readers",
    "Unreadable",
    "decode",
    "markdown_sections",
    "read_content",
    "read_file",
]
