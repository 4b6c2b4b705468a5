"""ReasonIR-SYNTHESIZER: training data from the user's own documents (ReasonIR, arXiv 2504.20595, section on data).

rows.py       the one schema; settings.py: what is asked for; calling.py: how the model is asked
seeds/        documents -> seeds that are worth asking about
"""
