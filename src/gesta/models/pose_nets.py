"""Net1 to Net9 (Kazakos, tables 4.1 and 4.2): plain networks for one depth patch; Net6 is Depth-Net, on color RGB-Net.

hand float32 [B, C, H, W] -> joints [B, J, 3] in [-1, 1]. With C = 1, H = 128, hidden 4096 and 14 joints: 151.42,
151.56, 151.60, 286.94, 151.61, 151.90, 51.05, 26.18 and 51.34 million parameters.
"""

from __future__ import annotations

PLANS = {
    "net1": "32 P 64 P 128 128 P",
    "net2": "32 P 64 P 128 128 128 P",
    "net3": "32:7 P 64:5 P 128 128 128 P",
    "net4": "64 P 128 P 256 256 256 P",
    "net5": "32 32 P 64 64 P 128 128 128 P",
    "net6": "32 32 P 64 64 P 128 128 128 P 128 128",
    "net7": "32 P 64 P 128 128 P 128 128 P",
    "net8": "32 P 64 P 128 128 P 128 128 P 128 128 P",
    "net9": "32 P 64 P 128 128 128 P 128 128 128 P",
}
DEPTH_NET = PLANS["net6"]
