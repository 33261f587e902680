"""The file for MediaPipe's own landmarker: a note is added to networks, and nothing that was there is changed."""

import io
import struct
import zipfile

import numpy as np
import pytest

from gesta.schema import GestaError
from gesta.trackers import task_file
from gesta.trackers.files import default_folder, located
from gesta.trackers.task_file import Number, described, fields_of, flat, pointed


def follow(data, table, *path):
    """The place that a way of (field, place in its vector or None) leads to."""
    for field, place in path:
        table = pointed(data, fields_of(data, table)[field])
        if place is not None:
            table = pointed(data, table + 4 + 4 * place)
    return table


def text(data, place):
    (length,) = struct.unpack_from("<I", data, place)
    return data[place + 4 : place + 4 + length]


def root(data):
    return struct.unpack_from("<I", data)[0]


@pytest.mark.parametrize("noted", [False, True])
def test_a_note_is_added_and_the_rest_stays(noted):
    model = {0: Number("I", 3), 2: [{3: "main"}], 3: "a network", 4: [{}, {0: b"weights"}]}
    if noted:
        model[6] = [{0: "min_runtime_version", 1: Number("I", 1)}]
    before = flat(model, b"TFL3")
    after = described(before, 127.5, 64.0)
    assert after[4:8] == b"TFL3" and after.endswith(before[8:]) and (len(after) - len(before)) % 16 == 0
    top = root(after)
    assert struct.unpack_from("<I", after, fields_of(after, top)[0])[0] == 3
    assert text(after, follow(after, top, (3, None))) == b"a network"
    assert text(after, follow(after, top, (2, 0), (3, None))) == b"main"
    assert text(after, follow(after, top, (4, 1), (0, None))) == b"weights"
    last = follow(after, top, (6, int(noted)))
    assert text(after, follow(after, last, (0, None))) == b"TFLITE_METADATA"
    assert struct.unpack_from("<I", after, fields_of(after, last)[1])[0] == 2
    place = follow(after, top, (4, 2), (0, None))
    assert (place + 4) % 16 == 0
    note = text(after, place)
    assert note[4:8] == b"M001"
    normalization = follow(note, root(note), (3, 0), (2, 0), (4, 0), (1, None))
    numbers = [struct.unpack_from("<If", note, follow(note, normalization, (field, None))) for field in (0, 1)]
    assert numbers == [(1, 127.5), (1, 64.0)]


def test_the_published_networks_answer_as_before(tmp_path):
    import openvino

    folder, network = default_folder(), tmp_path / "pose_detector.tflite"
    try:
        file = located([name for name, _, _ in task_file.MEMBERS.values()], folder)["pose_detection"]
    except GestaError as error:  # they are downloaded once
        pytest.skip(str(error))
    made = task_file.task_file(folder)
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())
        network.write_bytes(archive.read(network.name))
    image = np.random.default_rng(0).random((1, 224, 224, 3), np.float32)
    core = openvino.Core()
    one, other = (list(core.compile_model(given, "CPU")(image).values()) for given in (file, network))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
