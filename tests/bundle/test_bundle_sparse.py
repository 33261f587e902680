"""The sparse file: identical to the bit when loaded, the smaller way chosen; damage is refused with a reason."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.numpy

from gesta.bundle import sparse
from gesta.schema import GestaError


def weights(share: float, dtype: str = "float32", seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    whole = rng.normal(size=(30, 7, 3)).astype(dtype)
    whole[rng.random(whole.shape) > share] = 0
    return {"a.weight": whole, "a.bias": rng.normal(size=30).astype(dtype), "a.count": np.array(3, np.int64)}


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999, 1.0])
def test_weights_come_back_to_the_bit(share: float) -> None:
    given = weights(share)
    if share == 0.5:
        given["a.weight"][0, 0] = [-0.0, np.nan, -np.inf]  # a negative zero is not all zero bits
        given["transposed"] = np.asfortranarray(given["a.weight"][:, :, 0])
    data, report = sparse.encode(given)
    found = sparse.decode(data, "f")
    assert set(found) == set(given) and all(same_bits(found[k], given[k]) for k in given)
    encodings = {stored.name: stored.encoding for stored in report}
    assert encodings["a.weight"] == ("bitmap" if share < 0.9 else "dense") and encodings["a.bias"] == "dense"


def test_the_smaller_way_is_chosen_and_its_bytes_said() -> None:
    given = {"w": weights(0.1)["a.weight"]}
    data, (stored,) = sparse.encode(given)
    assert stored.nonzero == int((given["w"] != 0).sum()) and stored.elements == 630
    assert stored.bytes == 79 + 4 * stored.nonzero < stored.dense_bytes == 2520
    assert stored.bytes < len(data) < stored.bytes + 400
    assert len(data) < len(safetensors.numpy.save(given))


def test_halves_and_bytes_come_back_as_float32() -> None:
    halves = weights(0.3, "float16")
    found = sparse.decode(sparse.encode(halves)[0], "f")
    assert same_bits(found["a.weight"], halves["a.weight"].astype(np.float32))
    plain = sparse.decode(safetensors.numpy.save(halves), "f")
    assert same_bits(plain["a.weight"], found["a.weight"]) and plain["a.count"].dtype == np.int64
    values = np.array([[1, -2, 0], [127, 0, 0]], np.int8)
    scale = np.array([0.5, 0.25], np.float32)
    found = sparse.decode(sparse.encode({"w": values}, {"w": scale})[0], "f")
    assert same_bits(found["w"], np.array([[0.5, -1, 0], [31.75, 0, 0]], np.float32))


def test_sparse_bytes_with_scales() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(-127, 128, (40, 50)).astype(np.int8) * (rng.random((40, 50)) < 0.2)
    data, (stored,) = sparse.encode({"w": values.astype(np.int8)}, {"w": np.full(40, 0.5, np.float32)})
    assert stored.encoding == "bitmap" and stored.dtype == "int8"
    np.testing.assert_array_equal(sparse.decode(data, "f")["w"], values * np.float32(0.5))


def parts(given: dict[str, np.ndarray] | None = None) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    data, _ = sparse.encode(given or {"w": weights(0.1)["a.weight"]})
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return dict(safetensors.numpy.load(data)), header["__metadata__"]


def refused(arrays: dict[str, np.ndarray], metadata: dict[str, str], *words: str) -> None:
    with pytest.raises(GestaError) as caught:
        sparse.decode(safetensors.numpy.save(arrays, metadata), "model/weights")
    for word in ("model/weights", *words):
        assert word in str(caught.value)


@pytest.mark.parametrize("cut", [0, 5, 60, -1])
def test_a_file_cut_short(cut: int) -> None:
    data, _ = sparse.encode(weights(0.1))
    with pytest.raises(GestaError, match=r"model/weights is not a safetensors file, or it is damaged.*again"):
        sparse.decode(data[:cut], "model/weights")


def test_a_damaged_header() -> None:
    data = bytearray(sparse.encode(weights(0.1))[0])
    data[8:12] = b"oops"
    with pytest.raises(GestaError, match="is not a safetensors file"):
        sparse.decode(bytes(data), "f")


@pytest.mark.parametrize("version", ["2", "", "new"])
def test_another_version_of_the_layout(version: str) -> None:
    arrays, metadata = parts()
    refused(arrays, metadata | {"version": version}, "sparse layout version", "reads 1", "Update gesta")


def test_bitmaps_that_do_not_fit() -> None:
    arrays, metadata = parts()
    flipped = arrays["w#bitmap"].copy()
    flipped[0] ^= 1
    refused(arrays | {"w#bitmap": flipped}, metadata, "w: the sparse file is damaged", "of 630 elements")
    beyond = arrays["w#bitmap"].copy()
    beyond[-1] |= 0x80  # 630 elements leave two bits unused
    refused(arrays | {"w#bitmap": beyond, "w": np.append(arrays["w"], np.float32(1))}, metadata, "the bitmap marks")
    refused(
        arrays | {"w#bitmap": arrays["w#bitmap"][:-1]}, metadata, "a bitmap of uint8 (78,) for the shape (30, 7, 3)"
    )
    refused(arrays | {"w": arrays["w"][:-1]}, metadata, "values")
    refused(arrays | {"w": arrays["w"].reshape(-1, 1)}, metadata, "damaged")


def test_parts_that_do_not_belong_together() -> None:
    arrays, metadata = parts()
    together = "do not match"
    refused({"w": arrays["w"]}, metadata, together)
    refused({"w#bitmap": arrays["w#bitmap"]}, metadata, together)
    refused(arrays, metadata | {"shapes": "{}"}, together)
    refused(arrays | {"w#other": arrays["w"]}, metadata, together)
    for table in ("[", "[1]", '{"w": 3}', '{"w": [-1]}', '{"w": [1.5]}'):
        refused(arrays, metadata | {"shapes": table}, "table of shapes is not valid")
    refused(arrays | {"w#scale": np.ones(30, np.float32)}, metadata, "a scale float32 (30,) for values float32")


def test_a_small_file_that_would_fill_the_memory() -> None:
    arrays, metadata = parts()
    refused(arrays, metadata | {"shapes": '{"w": [1000000, 1000000]}'}, "would unpack to 8,000,000,000,")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("[" * 200_000, "table of shapes is not valid"),
        ('{"w": ' + "[" * 200_000, "table of shapes is not valid"),
        (json.dumps({"w": [1] * 100}), "at most 32 axes"),
        (json.dumps({"w": [0] * 100}), "at most 32 axes"),
        (json.dumps({"w": [0, 10**30]}), "would unpack to"),
        (json.dumps({"w": [0, 2**20, 2**20, 2**20, 2**20]}), "would unpack to"),
        (f'{{"w": [{"1" * 5000}]}}', "table of shapes is not valid"),
    ],
)
def test_a_table_of_shapes_made_to_harm(table: str, words: str) -> None:
    metadata = parts()[1]
    arrays = {"w": np.zeros(0, np.float32), "w#bitmap": np.zeros(0, np.uint8)}
    refused(arrays, metadata | {"shapes": table}, words)


def test_empty_tensors_come_back() -> None:
    given = {"w": np.zeros((3, 0, 5), np.float32), "x": np.float32(0)}
    found = sparse.decode(sparse.encode({k: np.asarray(v) for k, v in given.items()})[0], "f")
    assert all(same_bits(found[k], np.asarray(given[k])) for k in given)


def test_names_that_clash_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="must not contain '#'"):
        sparse.encode({"w#bitmap": np.zeros(3)})
