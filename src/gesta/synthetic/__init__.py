"""People, hands and sensors: writes synthetic recordings in the layouts that `gesta.sources` reads.

How a picture comes about: `gestures` (programs) -> `motion` (a recording's path of both hands) -> `body` (joints and
capsules in space) -> `render` (color and depth) -> `sensor` (noise, holes, masks) -> `recording` (files). `person`
and `scene` draw who and where; `chalearn2014` lays out a whole data set.
"""
