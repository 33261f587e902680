"""How many steps Adam with an L2 penalty needs to reduce a weight without gradients below 2**-20.

For 1,000 steps the weight's gradients are drawn from a normal distribution with mean zero and the given standard
deviation; then they are zero: the unit is dead. Only the L2 penalty remains, which Adam divides by the root of its
second moment; that forgets the old gradients slowly (beta2 = 0.999). Size 0: a unit that was dead from the start.
Standard library only:

    python benchmarks/adam_dead_weights.py
"""

from __future__ import annotations

import math
import random

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
WEIGHT_DECAY, START, ALIVE, LIMIT = 1e-6, 0.03, 1000, 200_000


def steps_to_vanish(learning_rate: float, gradient: float) -> int | None:
    """Steps after the last gradient, or None if more than LIMIT. The weight is about 0.03 when the gradients end."""
    rng = random.Random(0)
    weight, first, second = START, 0.0, 0.0
    for step in range(1, ALIVE + LIMIT + 1):
        alive = step <= ALIVE
        slope = (rng.gauss(0, gradient) if alive else 0.0) + WEIGHT_DECAY * weight
        first = BETA1 * first + (1 - BETA1) * slope
        second = BETA2 * second + (1 - BETA2) * slope**2
        if not alive:
            root = math.sqrt(second / (1 - BETA2**step))
            weight -= learning_rate * first / (1 - BETA1**step) / (root + EPSILON)
            if abs(weight) < 2**-20:
                return step - ALIVE
    return None


if __name__ == "__main__":
    print("| standard deviation of the gradients before | steps at learning rate 0.001 | steps at 0.003 |")
    print("|---|---|---|")
    for size in (0.0, 1e-5, 1e-4, 1e-3, 1e-2):
        print(f"| {size:g} | {steps_to_vanish(0.001, size):,} | {steps_to_vanish(0.003, size):,} |")
