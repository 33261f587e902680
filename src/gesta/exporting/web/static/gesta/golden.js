/** golden.json: a synthetic example with gesta's predictions for it. */
/** The frames of the example: RGB images, or joints. */
export function* examples(golden) {
    if (golden.drawing !== null)
        for (const middle of golden.drawing.middles)
            yield drawn(golden.drawing, middle);
    for (const skeleton of golden.skeletons ?? [])
        yield Float32Array.from(skeleton, (value) => value ?? NaN);
}
function drawn(drawing, [v, u]) {
    const { height, width, radius, color } = drawing;
    const data = new Uint8Array(height * width * 3);
    for (let row = 0, i = 0; row < height; row++) {
        for (let column = 0; column < width; column++, i += 3) {
            const near = (row - v) * (row - v) + (column - u) * (column - u) < radius * radius;
            data.set(near ? color : [row, column, row + column], i);
        }
    }
    return { data, width, height };
}
