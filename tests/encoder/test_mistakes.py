"""The doctor of servers names what a server does wrong. The servers are plain transformers, not our own code.

Every test goes over real HTTP: whole strings to a scripted server, roads to `reasonir serve`'s own application.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from reasonir_agent.encoder import ReasonIREncoder, mistakes
from reasonir_agent.encoder.endpoint import (
    NOT_NORMALISED,
    REFUSES_LONG,
    EndpointReport,
    examine_endpoint,
    right_encoder,
)
from reasonir_agent.encoder.mistakes import Expected, expected
from reasonir_agent.encoder.probe_file import load_expected, save_expected
from reasonir_agent.encoder.probes import LONG, PROBES, cosines
from reasonir_agent.encoder.remote import RemoteBackend
from reasonir_agent.errors import EncoderError, InputError
from reasonir_agent.testing import FakeEncoder, ScriptedChatServer
from tests.encoder.mistaken import MistakenEncoder, PlainLlama, PlainMiniLM
from tests.encoder.servers import Canned
from tests.server.conftest import running

pytestmark = pytest.mark.slow

TINY = (
    ((), ()),
    (("causal",), (mistakes.CAUSAL,)),
    (("pools all",), (mistakes.ALL_POOLED,)),
    (("pools last",), (mistakes.LAST,)),
    (("pools first",), (mistakes.FIRST,)),
    (("no newline",), (mistakes.NO_NEWLINE,)),
    (("no template",), (mistakes.NO_TEMPLATE,)),
    (("cut",), (mistakes.CUT,)),
    (("strips",), (mistakes.STRIPPED,)),
    (("flattens",), (mistakes.FLAT,)),
    (("no norm",), (NOT_NORMALISED,)),
    # two and three at once: as vLLM serves a Llama that it was told nothing about, and worse
    (("causal", "pools last"), (mistakes.CAUSAL, mistakes.LAST)),
    (("causal", "pools all"), (mistakes.CAUSAL, mistakes.ALL_POOLED)),
    (("pools all", "cut"), (mistakes.CUT, mistakes.ALL_POOLED)),
    (("no newline", "pools all", "no norm"), (mistakes.NO_NEWLINE, mistakes.ALL_POOLED, NOT_NORMALISED)),
    (("causal", "no template", "no norm"), (mistakes.CAUSAL, mistakes.NO_TEMPLATE, NOT_NORMALISED)),
)
ALIKE = (
    (("as query",), (mistakes.AS_QUERIES,)),
    (("as document",), (mistakes.AS_DOCUMENTS,)),
)
MINILM = (
    ((), ()),
    (("pools last",), (mistakes.LAST,)),
    (("pools first",), (mistakes.FIRST,)),
    (("reads 512",), (mistakes.CUT,)),
    (("no norm",), (NOT_NORMALISED,)),
    (("pools last", "reads 512", "no norm"), (mistakes.CUT, mistakes.LAST, NOT_NORMALISED)),
)


@pytest.fixture(scope="module")
def known(golden_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """What servers of the two encoders can give, computed once."""
    torch.set_num_threads(1)
    tiny = ReasonIREncoder(golden_folder, dtype="float32", device="cpu")
    minilm = ReasonIREncoder("minilm", dtype="float32", device="cpu")
    return SimpleNamespace(
        tiny=tiny,
        minilm=minilm,
        of={(e.name, roads): expected(e, by_roads=roads) for e in (tiny, minilm) for roads in (False, True)},
    )


def of_whole_strings(wrong: Any, known: SimpleNamespace, encoder: ReasonIREncoder) -> EndpointReport:
    with ScriptedChatServer(embed=wrong.whole_strings) as server:
        remote = RemoteBackend("m", base_url=server.base_url, api_key=None)
        assert remote.announced is None
        return examine_endpoint(remote, known.of[encoder.name, False])


def of_roads(served: Any, known: SimpleNamespace, encoder: ReasonIREncoder) -> EndpointReport:
    with running(served) as server:
        remote = RemoteBackend(None, base_url=f"{server.url}/v1", api_key=None)
        assert remote.announced is not None
        return examine_endpoint(remote, known.of[encoder.name, True])


def check(report: EndpointReport, named: tuple[str, ...], encoder: ReasonIREncoder) -> None:
    assert report.mistakes == named, report.verdict
    assert report.is_right == (not named)
    assert report.nearest[0].mean > 0.9999
    assert report.nearest[1].mean < report.nearest[0].mean - 1e-4  # and nothing else comes as near
    for name in named:
        assert name in report.verdict
        assert any(line.startswith(f"{name}: ") for line in report.meanings())
    assert "further" not in report.verdict
    assert report.verdict.startswith("right: " if not named else repr(encoder.name))


@pytest.mark.parametrize(("wrong", "named"), TINY)
def test_each_mistake_of_a_server_that_gets_whole_strings_is_named(known, golden_folder, wrong, named) -> None:
    check(of_whole_strings(PlainLlama(golden_folder, *wrong), known, known.tiny), named, known.tiny)


@pytest.mark.parametrize(("wrong", "named"), [*TINY, *ALIKE])
def test_each_mistake_of_a_server_with_models_for_roles_is_named(known, golden_folder, wrong, named) -> None:
    served = MistakenEncoder(known.tiny, PlainLlama(golden_folder, *wrong))
    check(of_roads(served, known, known.tiny), named, known.tiny)


@pytest.mark.parametrize(("wrong", "named"), MINILM)
def test_each_mistake_with_minilm_is_named(known, minilm_folder, wrong, named) -> None:
    check(of_whole_strings(PlainMiniLM(minilm_folder, *wrong), known, known.minilm), named, known.minilm)


def test_reasonir_serve_itself_is_right(known) -> None:
    for encoder in (known.tiny, known.minilm):
        report = of_roads(encoder, known, encoder)
        check(report, (), encoder)
        assert report.notes == ()


def test_a_server_that_cuts_long_queries_where_ours_reads_windows_is_named(known, minilm_folder) -> None:
    served = MistakenEncoder(known.minilm, PlainMiniLM(minilm_folder))
    check(of_roads(served, known, known.minilm), (mistakes.QUERY_CUT,), known.minilm)


def test_half_precision_is_right(known, golden_folder) -> None:
    half = ReasonIREncoder(golden_folder, dtype="bfloat16", device="cpu")
    report = of_roads(half, known, known.tiny)
    assert report.is_right
    assert 0.9999 < report.nearest[0].mean < 1


def test_another_model_is_said_to_be_one(known, minilm_folder) -> None:
    report = of_whole_strings(PlainMiniLM(minilm_folder), known, known.tiny)
    assert (report.is_right, report.mistakes, report.nearest) == (False, (), ())
    assert report.verdict.startswith("another model: it gives vectors of 384 numbers")
    noise = np.random.default_rng(3)
    other = SimpleNamespace(whole_strings=lambda texts: noise.standard_normal((len(texts), 64)))
    report = of_whole_strings(other, known, known.tiny)
    assert (report.is_right, report.mistakes) == (False, ())
    assert report.verdict.startswith("another model than")


def test_coarse_numbers_are_nearly_the_encoder_and_not_it(known, golden_folder) -> None:
    right = PlainLlama(golden_folder)

    def coarse(texts: list[str]) -> np.ndarray:
        vectors = right.whole_strings(texts)
        return np.round(vectors * 24) / 24

    report = of_whole_strings(SimpleNamespace(whole_strings=coarse), known, known.tiny)
    assert not report.is_right
    assert "not the same" in report.verdict or "something further differs" in report.verdict


def test_a_server_that_refuses_long_texts_is_judged_by_the_short_ones(known, golden_folder, minilm_folder) -> None:
    def most(texts: list[str], embed: Any) -> tuple[int, object]:
        too_long = any(len(text) > 1200 for text in texts)
        return (413, {"error": "inputs must have less than 512 tokens"}) if too_long else (200, embed)

    tiny, mini = PlainLlama(golden_folder), PlainMiniLM(minilm_folder)
    with Canned(lambda request: most(request["input"], tiny.whole_strings)) as server:
        report = examine_endpoint(
            RemoteBackend("m", base_url=server.base_url, api_key=None), known.of[known.tiny.name, False]
        )
    assert (report.mistakes, report.is_right) == ((REFUSES_LONG,), False)
    with Canned(lambda request: most(request["input"], mini.whole_strings)) as server:
        remote = RemoteBackend("m", base_url=server.base_url, api_key=None)
        report = examine_endpoint(remote, known.of["minilm", False])
    assert report.is_right  # beyond its window of 256 nothing has to be taken
    assert "could not be compared" in report.notes[0]


def test_a_server_that_announces_another_fingerprint_is_noted(known, golden_folder) -> None:
    other = ReasonIREncoder(golden_folder, task="biology", dtype="float32", device="cpu")
    report = of_roads(other, known, known.tiny)
    assert not report.is_right
    assert "they differ in query_prefix" in report.notes[0]


@pytest.mark.parametrize("by_roads", [False, True])
def test_every_variant_can_be_told_from_every_other(known, by_roads: bool) -> None:
    for name, fewest in ((known.tiny.name, 36), ("minilm", 6)):
        found: Expected = known.of[name, by_roads]
        assert len(found.variants) >= fewest
        assert found.variants[0].mistakes == ()
        for number, one in enumerate(found.variants):
            for other in found.variants[:number]:
                near = cosines(one.vectors, other.vectors)
                assert near.mean() < 1 - 1e-4, (one.name, other.name)  # half precision moves them by 5e-5
        singles = [one for one in found.variants if len(one.mistakes) == 1]
        for one in singles:  # a mistake alone is never taken for right
            near = cosines(one.vectors, found.variants[0].vectors)
            assert near.mean() < 0.999 or near.min() < 0.9965, one.name


def test_what_an_encoder_cannot_have_is_left_out_and_said(known) -> None:
    tiny, mini = known.of[known.tiny.name, False], known.of["minilm", False]
    assert len(tiny.left_out) == 1  # roads, with whole strings
    said = " / ".join(mini.left_out)
    for mistake in (mistakes.CAUSAL, mistakes.NO_TEMPLATE, mistakes.NO_NEWLINE, mistakes.ALL_POOLED, mistakes.STRIPPED):
        assert f"{mistake} (" in said
    named = {name for variant in mini.variants for name in variant.mistakes}
    assert named == {mistakes.LAST, mistakes.FIRST, mistakes.CUT}


def test_the_probes_are_what_they_should_be(known) -> None:
    one, other = (PROBES[number] for number in LONG)
    shared = next(n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    for encoder in (known.tiny, known.minilm):
        assert encoder.count_tokens([one[:shared]])[0] > 512
    assert any(text.startswith("\n") for text in PROBES)
    assert any("\u4e00" <= c <= "\u9fff" for text in PROBES for c in text)
    assert len(set(PROBES)) == len(PROBES)


def test_the_network_is_bidirectional_again_afterwards(golden, known) -> None:
    right = known.tiny.encode_documents(["What makes the sky blue?"])
    fresh = ReasonIREncoder(known.tiny._checkpoint.folder, dtype="float32", device="cpu")
    np.testing.assert_allclose(right, fresh.encode_documents(["What makes the sky blue?"]), atol=1e-6)


def test_the_right_variant_is_what_the_encoder_gives(known) -> None:
    for encoder in (known.tiny, known.minilm):
        wanted = np.concatenate([encoder.encode_queries(PROBES), _quietly(encoder, PROBES)])
        np.testing.assert_allclose(known.of[encoder.name, True].variants[0].vectors, wanted, atol=2e-5)


def _quietly(encoder: ReasonIREncoder, texts: Any) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return encoder.encode_documents(texts)


def test_saved_probes_say_the_same(known, golden_folder, tmp_path: Path) -> None:
    path = tmp_path / "probes.json"
    save_expected(path, known.of[known.tiny.name, False], known.of[known.tiny.name, True])
    assert path.stat().st_size < 1_000_000
    for by_roads in (False, True):
        found, made = load_expected(path, by_roads=by_roads), known.of[known.tiny.name, by_roads]
        assert (found.encoder, found.fingerprint, found.tokens) == (made.encoder, made.fingerprint, made.tokens)
        assert [v.mistakes for v in found.variants] == [v.mistakes for v in made.variants]
        for one, other in zip(found.variants, made.variants, strict=True):
            assert cosines(one.vectors, other.vectors).min() > 1 - 1e-6
    loaded = SimpleNamespace(of={(known.tiny.name, False): load_expected(path, by_roads=False)})
    report = of_whole_strings(PlainLlama(golden_folder, "causal", "pools all"), loaded, known.tiny)
    assert report.mistakes == (mistakes.CAUSAL, mistakes.ALL_POOLED)


def test_a_damaged_file_of_probes_is_refused_in_words(known, tmp_path: Path) -> None:
    path = tmp_path / "probes.json"
    with pytest.raises(InputError, match="cannot be read"):
        load_expected(path, by_roads=False)
    for said, content in (
        ("cannot be read", "{"),
        ("holds no probes", "[]"),
        ("holds no probes", '{"format": "other"}'),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=said):
            load_expected(path, by_roads=False)
    save_expected(path, known.of["minilm", False], known.of["minilm", True])
    sound = json.loads(path.read_text())
    for change, said in (
        ({"texts": "0"}, "another version"),
        ({"dim": 7}, "damaged"),
        ({"window": "256"}, "damaged"),
        ({"fingerprint": {"id": "../../etc"}}, "must be letters and digits"),
        ({"fingerprint": {**sound["fingerprint"], "dim": 12}}, "its parts give"),
        ({"tokens": [1]}, "damaged"),
        ({"kinds": {}}, "damaged"),
        ({"kinds": {"whole_strings": {"variants": [], "left_out": []}}}, "damaged"),
    ):
        path.write_text(json.dumps({**sound, **change}))
        with pytest.raises(InputError, match=said):
            load_expected(path, by_roads=False)
    with pytest.raises(InputError, match="cannot be written"):
        save_expected(tmp_path / "no" / "where", known.of["minilm", False], known.of["minilm", True])


def test_the_encoder_to_compare_with_is_found_by_name_or_by_length() -> None:
    def remote(name: str, dim: int) -> Any:
        return SimpleNamespace(model=name, known=None, dim=dim)

    assert right_encoder(remote("sentence-transformers/all-MiniLM-L6-v2", 384), is_named=False) == "minilm"
    assert right_encoder(remote("reasonir/ReasonIR-8B", 4096), is_named=True) == "reasonir-8b"
    assert right_encoder(remote("my-encoder", 384), is_named=False) == "minilm"
    for name in ("reasonir/ReasonIR-8B", "unknown"):  # 16 GB are not fetched because a server says a name
        with pytest.raises(InputError, match=r"say which encoder .* --encoder .* --probes"):
            right_encoder(remote(name, 4096), is_named=False)


def test_an_encoder_behind_a_server_is_no_measure_of_what_is_right() -> None:
    with ScriptedChatServer(embed=lambda texts: FakeEncoder(dim=8).encode_queries(texts)) as server:
        remote = ReasonIREncoder("m", base_url=server.base_url)
        with pytest.raises(InputError, match="a local checkpoint is needed"):
            expected(remote, by_roads=False)


def test_a_server_that_fails_meanwhile_is_an_error(known) -> None:
    with (
        Canned(500, {"error": "out of memory"}) as server,
        pytest.raises(EncoderError, match="HTTP 500: out of memory"),
    ):
        examine_endpoint(RemoteBackend("m", base_url=server.base_url, api_key=None), known.of["minilm", False])
