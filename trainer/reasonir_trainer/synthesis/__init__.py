"""ReasonIR-SYNTHESIZER: training data from the user's own documents (ReasonIR, arXiv 2504.20595, section on data).

What is agreed on
    rows.py           the one schema: seeds, rows, rejected items
    settings.py       what is asked for
    calling.py        how the model is asked: a call has a name, and its reply can be kept under it

Seeds
    seeds/            documents -> pieces that are worth asking about, one piece of code for each step
    seed_stage.py     the same as a part of a run, which can be stopped and goes on
    pieces.py         what became of every piece, counted
    exclusion.py      keeps away from evaluation sets: seeds at the beginning, rows at the end
    near_duplicates.py  texts that are nearly one; word_runs.py: words counted and compared in their order

One item
    items.py          from its first call to its row; item_maker.py: with what it needs beside the model
    prompts.py        everything that the model is asked; asking.py: again with the reason where a reply is no use
    varied.py, lengths.py    varied-length queries and positives, of lengths that are drawn
    hard.py           queries that need reasoning; query_checks.py, mentions.py, findings.py: the rules for them
    negatives.py      written in further turns; mined.py: taken from other seeds; nearness.py: ranked by an encoder

A run
    pipeline.py       from the first file of a folder to the last; opening.py: who answers its calls
    run_folder.py     which file is which, and which request a folder belongs to
    journal.py        replies and items that survive a kill; outcomes.py: which items are finished
    planning.py       the list of items; pool.py, making.py: many at once, until there is a reason to stop
    live_caller.py    asks at once; batch/: by OpenAI's Batch API
    progress.py       what is shown meanwhile; estimate.py: what a run would cost, without asking

A data set
    merging.py        shards as one folder; finishing.py: items -> data set, in order, without repetitions
    data_files.py     JSON lines and Parquet; seed_texts.py: seeds by their id
    summary.py        counts; card.py: what somebody has to know who did not make it; push.py: onto a hub
"""
