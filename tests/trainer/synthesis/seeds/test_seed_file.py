import pytest

from reasonir_agent.errors import InputError
from reasonir_trainer.synthesis.rows import Seed
from reasonir_trainer.synthesis.seeds.seed_file import SeedFile


def seed(number: int, text: str = "Zwölf Wörter — 十二\nand a line \u2028 break") -> Seed:
    return Seed.of(source=f"a{number}.md", start=0, end=9, heading="H", text=f"{text} {number}")


def test_seeds_come_back_as_they_were_written(tmp_path):
    seeds = [seed(number) for number in range(5)]
    with SeedFile(tmp_path / "seeds.jsonl") as file:
        for one in seeds:
            file.append(one)
        assert list(file) == seeds
        assert [file.get(one.id) for one in reversed(seeds)] == seeds[::-1]
        file.append(seed(9))  # after reading
        assert file.get(seed(9).id) == seed(9) and len(file) == 6
    with SeedFile(tmp_path / "seeds.jsonl") as file:
        assert [*file] == [*seeds, seed(9)]
        assert file.ids() == [one.id for one in [*seeds, seed(9)]]
        assert seed(1).id in file and "other" not in file
    assert len((tmp_path / "seeds.jsonl").read_bytes().splitlines()) == 6


def test_a_seed_is_written_once(tmp_path):
    with SeedFile(tmp_path / "seeds.jsonl") as file:
        file.append(seed(1))
        file.append(seed(1))
        assert [*file] == [seed(1)]


def test_a_torn_last_line_is_cut_off_and_writing_goes_on(tmp_path):
    path = tmp_path / "seeds.jsonl"
    with SeedFile(path) as file:
        file.append(seed(1))
        file.append(seed(2))
    whole = path.read_bytes()
    for left in range(len(whole.splitlines(keepends=True)[0]), len(whole)):
        path.write_bytes(whole[:left])
        SeedFile(path).close()
        assert path.read_bytes() == whole.splitlines(keepends=True)[0]
        path.write_bytes(whole[:left])
        with SeedFile(path) as file:
            assert [*file] == [seed(1)]
            file.append(seed(2))
        assert path.read_bytes() == whole


def test_reading_can_go_on_while_others_are_looked_up(tmp_path):
    with SeedFile(tmp_path / "seeds.jsonl") as file:
        for number in range(50):
            file.append(seed(number, "long " * 300))
        for number, one in enumerate(file):
            assert one == seed(number, "long " * 300)
            assert file.get(seed(49 - number, "long " * 300).id).source == f"a{49 - number}.md"


def test_what_is_no_file_of_seeds_is_refused(tmp_path):
    path = tmp_path / "seeds.jsonl"
    path.write_text(seed(1).model_dump_json() + '\n{"id": 3}\n')
    with pytest.raises(InputError, match=r"seeds\.jsonl:2 is no seed"):
        SeedFile(path)
    with pytest.raises(InputError, match="cannot be opened"):
        SeedFile(tmp_path)
    with SeedFile(tmp_path / "other.jsonl") as file, pytest.raises(InputError, match="holds no seed 'x'"):
        file.get("x")
