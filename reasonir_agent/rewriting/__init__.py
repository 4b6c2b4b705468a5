"""From a question to long reasoning queries (ReasonIR, arXiv 2504.20595, section on test-time techniques).

prompts.py     what the model is asked
rewrite.py     one rewrite, or several that differ; with evidence, or for one missing fact
standalone.py  a follow-up question of a conversation as a question that stands alone
"""

from reasonir_agent.rewriting.prompts import ANGLES, VERSION
from reasonir_agent.rewriting.rewrite import Rewrites, rewrite, rewrite_several, usable_text
from reasonir_agent.rewriting.standalone import Turn, standalone

__all__ = ["ANGLES", "VERSION", "Rewrites", "Turn", "rewrite", "rewrite_several", "standalone", "usable_text"]
