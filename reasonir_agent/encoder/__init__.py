"""Everything that must be the same in training and inference: template, loading, batching, pooling, fingerprints.

Importing this package loads no torch; a backbone is loaded when the first text is encoded.
"""

from reasonir_agent.encoder.encoder import Counters, EncoderWarning, ReasonIREncoder
from reasonir_agent.encoder.fingerprint import Fingerprint
from reasonir_agent.encoder.known import KNOWN_ENCODERS, KnownEncoder

__all__ = [
    "KNOWN_ENCODERS",
    "Counters",
    "EncoderWarning",
    "Fingerprint",
    "KnownEncoder",
    "ReasonIREncoder",
]
