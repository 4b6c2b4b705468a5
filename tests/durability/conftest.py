"""The scene is set once for each kind of store."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.durability.scene import Scene, first_version, second_version, state_of, write


@pytest.fixture(scope="session")
def make_scene(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Scene]:
    made: dict[int, Scene] = {}

    def make(exact_bytes: int) -> Scene:
        if exact_bytes not in made:
            base = tmp_path_factory.mktemp("scene")
            folder, store, whole = base / "folder", base / "store", base / "whole"
            first_version(folder)
            assert write("index", store, folder, exact_bytes=exact_bytes).returncode == 0
            second_version(folder)
            shutil.copytree(store, whole)
            assert write("index", whole, folder, exact_bytes=exact_bytes).returncode == 0
            made[exact_bytes] = Scene(folder, store, state_of(whole))
        return made[exact_bytes]

    return make
