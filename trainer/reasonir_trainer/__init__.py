"""Training data for retrieval encoders, after ReasonIR (arXiv 2504.20595). `mining` is what there is so far."""
