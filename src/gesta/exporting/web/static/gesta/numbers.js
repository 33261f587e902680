/** Arithmetic with the conventions of Python and numpy. */
/** Rounds to the nearest integer, .5 to the even one. */
export function roundEven(value) {
    const low = Math.floor(value);
    const rest = value - low;
    if (rest !== 0.5)
        return rest < 0.5 ? low : low + 1;
    return low % 2 === 0 ? low : low + 1;
}
/** Index of the largest value; the first one if several are equal. */
export function argmax(values) {
    let best = 0;
    for (let i = 1; i < values.length; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}
/** Converts a network's outputs to probabilities. */
export function softmax(logits) {
    const values = Array.from(logits);
    if (!values.every(Number.isFinite)) {
        throw new Error("The network returns values that are not numbers (NaN). Export the model again.");
    }
    const largest = Math.max(...values);
    const powers = values.map((value) => Math.exp(value - largest));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
}
