"""People, hands and sensors: writes synthetic recordings in the layouts that `gesta.sources` reads.

The pipeline: `gestures` (programs) -> `motion` (the path of both hands in a recording) -> `body` (joints and
capsules in space) -> `render` (color and depth) -> `sensor` (noise, holes, masks) -> `recording` (files). `person`
and `scene` sample the person and the room; `chalearn2014` lays out a whole data set.
"""
