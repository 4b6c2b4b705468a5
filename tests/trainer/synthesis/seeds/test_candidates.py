from dataclasses import replace
from pathlib import Path

import pytest

from reasonir_agent.errors import InputError
from reasonir_trainer.synthesis.seeds import Dropped, SeedReport, candidates
from reasonir_trainer.synthesis.seeds.duplicates import EXACT, NEAR
from reasonir_trainer.synthesis.settings import SynthesisSettings
from reasonir_trainer.synthesis.word_runs import count_words

SETTINGS = SynthesisSettings(model="openai:any", least_seed_words=20, most_seed_words=200)
CORPUS = Path(__file__).parents[4] / "examples" / "corpus"

DUCKS = """A duck's feathers stay dry because the barbules hook into each other and leave gaps that are filled with air.
Water cannot enter the gaps without bending its surface, and bending it costs energy. The oil from the preen gland keeps
the barbules supple; it is not what repels the water, as was shown by washing feathers in ether, after which they still
shed drops for weeks."""
BANKS = """A bank lends for years what it owes at once. While few depositors come on one day, this works; when all fear that
the others will come, each is right to come first, and a bank that could pay everybody in time cannot pay them today.
Insurance of deposits ends such a run before it begins, because nobody gains by being early."""


def write(folder: Path, **texts: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def made(folder: Path, target: Path, settings=SETTINGS, report=None):
    report = report or SeedReport()
    with candidates([str(folder)], settings, report, file=target) as file:
        return list(file), report


def test_repeats_go_and_the_seed_that_they_repeat_is_named(tmp_path):
    folder = write(
        tmp_path / "in", a=DUCKS, b=BANKS, c=DUCKS.upper(), d=DUCKS.replace("weeks", "months"), e="Too short."
    )
    log: list[Dropped] = []
    seeds, report = made(folder, tmp_path / "seeds.jsonl", report=SeedReport(on_dropped=log.append))
    assert [Path(one.source).name for one in seeds] == ["a.txt", "b.txt"]
    assert report.dropped == {EXACT: 1, NEAR: 1, "too short": 1}
    assert (report.files, report.pieces, report.kept) == (5, 5, 2)
    assert {(Path(one.source).name, one.reason) for one in log} == {
        ("c.txt", EXACT),
        ("d.txt", NEAR),
        ("e.txt", "too short"),
    }
    near = next(one for one in log if one.reason == NEAR)
    assert "a.txt" in near.detail and seeds[0].id in near.detail and "similarity 0.9" in near.detail
    assert [Path(one.name).name for one in tmp_path.iterdir() if one.is_file()] == ["seeds.jsonl"]


def test_what_counts_as_a_repeat_is_the_users_choice(tmp_path):
    folder = write(tmp_path / "in", a=DUCKS, d=DUCKS.replace("weeks", "months"))
    assert len(made(folder, tmp_path / "s", replace(SETTINGS, near_duplicate=1.0))[0]) == 2
    assert len(made(folder, tmp_path / "s", replace(SETTINGS, near_duplicate=0.9))[0]) == 1


def test_languages_are_filtered(tmp_path):
    folder = write(
        tmp_path / "in",
        a=DUCKS,
        b="鸭子的羽毛不会被水打湿。羽小枝互相钩住，中间的空隙里充满空气。水要进入这些空隙，就必须弯曲它的表面。",
    )
    seeds, report = made(folder, tmp_path / "s", replace(SETTINGS, languages=("zh",)))
    assert [Path(one.source).name for one in seeds] == ["b.txt"] and report.dropped == {"other language": 1}


def test_nothing_left_is_an_error_with_the_counts(tmp_path):
    folder = write(tmp_path / "in", a="Too short.", b="Short too.", c="")
    with pytest.raises(
        InputError, match=r"no seeds are left of .*: 2 pieces of 2 files: too short 2; 1 files .*is empty"
    ):
        made(folder, tmp_path / "seeds.jsonl")
    assert not list(tmp_path.glob("seeds*"))


def test_a_run_that_fails_leaves_the_file_of_the_one_before(tmp_path):
    seeds, _ = made(write(tmp_path / "in", a=DUCKS), tmp_path / "seeds.jsonl")
    with pytest.raises(InputError):
        made(write(tmp_path / "other", a="Too short."), tmp_path / "seeds.jsonl")
    from reasonir_trainer.synthesis.seeds import SeedFile

    with SeedFile(tmp_path / "seeds.jsonl") as file:
        assert list(file) == seeds


def test_the_example_corpus_gives_seeds_and_the_same_ones_again(tmp_path):
    settings = replace(SETTINGS, least_seed_words=60, languages=("en",))
    seeds, report = made(CORPUS, tmp_path / "one", settings)
    again, _ = made(CORPUS, tmp_path / "two", settings)
    assert seeds == again and (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert len(seeds) > 60 and report.kept == len(seeds)
    assert set(report.dropped) == {"other language", "too short"}
    assert not any("zh-" in one.source for one in seeds)  # eight of its files are Chinese
    for one in seeds:
        assert 60 <= count_words(one.text) <= 200
        assert Path(one.source).read_text()[one.start : one.end] == one.text
