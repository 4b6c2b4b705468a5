"""Arguments that cannot be used end in one sentence; two threads share an encoder."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from reasonir_agent.encoder import ReasonIREncoder
from reasonir_agent.encoder.known import KNOWN_ENCODERS, default_encoder
from reasonir_agent.errors import InputError


@pytest.mark.parametrize("dtype", ["int8", "fp32", "", None, "torch.float32"])
def test_an_unknown_dtype_is_refused_with_the_list(golden_folder, dtype):
    with pytest.raises(InputError, match="dtype must be one of auto, float32, bfloat16, float16; got"):
        ReasonIREncoder(golden_folder, dtype=dtype)


@pytest.mark.parametrize("max_tokens", [7, 1, 0, -5])
def test_a_window_too_small_for_a_sentence_is_refused(golden_folder, max_tokens):
    with pytest.raises(InputError, match=f"max_tokens must be 8 or more, got {max_tokens}"):
        ReasonIREncoder(golden_folder, max_tokens=max_tokens)


def test_arguments_are_checked_before_any_file_is_read():
    with pytest.raises(InputError, match="dtype must be one of"):
        ReasonIREncoder("/no/such/folder", dtype="int8")


@pytest.mark.parametrize("device", ["cuda:7", "banana", "mps"])
def test_a_device_that_is_not_there_is_refused_in_one_sentence(open_golden, device):
    with pytest.raises(InputError, match=f"using the device '{device}' failed: ") as caught:
        open_golden(device=device).encode_queries(["why"])
    assert "\n" not in str(caught.value)


def test_float16_gives_float32_unit_vectors_near_those_of_float32(open_golden, golden):
    half = open_golden(dtype="float16").encode_documents(golden.texts[:2])
    full = open_golden().encode_documents(golden.texts[:2])
    assert half.dtype == np.float32
    assert 0 < np.abs(half - full).max() < 5e-3
    np.testing.assert_allclose(np.linalg.norm(half, axis=1), 1.0, atol=1e-6)


def test_the_encoder_says_what_it_is(golden_folder):
    assert repr(ReasonIREncoder(golden_folder)) == f"ReasonIREncoder({str(golden_folder)!r}, dim=64, window=4096)"
    assert default_encoder() in {row.name for row in KNOWN_ENCODERS}


def test_two_threads_get_the_vectors_that_one_gets(open_golden):
    jobs = [[f"why is fact {n} number {m}" for m in range(12)] for n in range(16)]
    wanted = [open_golden().encode_queries(job) for job in jobs]
    encoder = open_golden()  # its network is loaded by whichever thread comes first
    barrier = threading.Barrier(4)

    def work(number: int) -> np.ndarray:
        if number < 4:
            barrier.wait(timeout=30)
        return encoder.encode_queries(jobs[number])

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(len(jobs))))
    for got, expected in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
    assert encoder.counters.encoded == 16 * 12


def test_threads_do_not_run_the_network_at_the_same_time(open_golden):
    encoder = open_golden()
    forward, inside, most = encoder._engine.heavy_backbone().forward, [], []

    def watched(batch):
        inside.append(1)
        most.append(len(inside))
        vectors = forward(batch)
        inside.pop()
        return vectors

    encoder._engine.heavy_backbone().forward = watched
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: encoder.encode_documents([f"text {n}"]), range(24)))
    assert len(most) == 24
    assert max(most) == 1
