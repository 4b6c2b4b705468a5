"""Training data for retrieval encoders, and training on it, after ReasonIR (arXiv 2504.20595).

synthesis/    documents and a chat model -> queries, positives and hard negatives, in a folder that can be resumed
mining/       hard negatives from BM25 or an encoder, and grades by a model; for synthesis and for pairs that are there
export/       data sets in other people's formats and theirs as ours; a held-out part as an evaluation set
inspecting/   a data set as one page to read
data/         training sources: read, mixed, and made into batches
training/     the loss, the model, the run and its record
cli/          the command line; it alone prints and reads the environment

Readers, encoders, chat models and evaluation sets are those of `reasonir_agent`; its agent, server and command line are
not used. Importing this package, or one of these rooms, loads no torch.
"""
