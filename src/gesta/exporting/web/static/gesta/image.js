/** Single-channel images, cropped and scaled exactly as by OpenCV (gesta.clips.crops), including rounding. */
import { roundEven } from "./numbers.js";
const fround = Math.fround;
function level(value) {
    return Math.min(255, Math.max(0, roundEven(value)));
}
export function gray(picture) {
    const { data, width, height } = picture;
    const out = new Uint8Array(width * height);
    const stride = data.length / out.length;
    for (let i = 0, j = 0; i < out.length; i++, j += stride) {
        out[i] = (data[j] * 9798 + data[j + 1] * 19235 + data[j + 2] * 3735 + 16384) >> 15;
    }
    return { data: out, width, height };
}
/** One color channel: 0 red, 1 green, 2 blue. */
export function color(picture, which) {
    const { data, width, height } = picture;
    const out = new Uint8Array(width * height);
    const stride = data.length / out.length;
    for (let i = 0, j = which; i < out.length; i++, j += stride)
        out[i] = data[j];
    return { data: out, width, height };
}
/** Crops an image to the box, with zeros outside the image. */
export function cut(image, box) {
    const [left, top] = [roundEven(box[0]), roundEven(box[1])];
    const width = Math.max(roundEven(box[2]) - left, 1);
    const height = Math.max(roundEven(box[3]) - top, 1);
    const out = new Uint8Array(width * height);
    const [from, to] = [Math.max(left, 0), Math.min(left + width, image.width)];
    if (from < to) {
        for (let y = Math.max(top, 0); y < Math.min(top + height, image.height); y++) {
            const row = y * image.width;
            out.set(image.data.subarray(row + from, row + to), (y - top) * width + from - left);
        }
    }
    return { data: out, width, height };
}
/** Resizes to size x size: halved while at least twice as large, then area means, or linear to enlarge. */
export function resized(image, size) {
    while (Math.min(image.width, image.height) >= 2 * size)
        image = halved(image);
    return scaled(image, size, size, image.width < size || image.height < size ? "linear" : "area");
}
/** Means of 2 x 2 pixels, .5 rounded up; an odd last row or column is dropped. */
function halved(image) {
    const width = image.width >> 1;
    const height = image.height >> 1;
    const { data } = image;
    const out = new Uint8Array(width * height);
    for (let y = 0, i = 0; y < height; y++) {
        for (let x = 0, j = 2 * y * image.width; x < width; x++, i++, j += 2) {
            out[i] = (data[j] + data[j + 1] + data[j + image.width] + data[j + image.width + 1] + 2) >> 2;
        }
    }
    return { data: out, width, height };
}
/** Resizes like cv2.resize with INTER_AREA or INTER_LINEAR. */
export function scaled(image, width, height, mode) {
    if (image.width === width && image.height === height)
        return image;
    const [across, down] = [1 / (width / image.width), 1 / (height / image.height)];
    if (mode === "linear" || across < 1 || down < 1)
        return between(image, width, height, mode);
    if (across === 2 && down === 2)
        return halved(image);
    const whole = Number.isInteger(across) && Number.isInteger(down);
    return whole ? blocks(image, across, down) : areas(image, width, height, across, down);
}
/** Means of blocks of whole pixels. */
function blocks(image, across, down) {
    const width = image.width / across;
    const height = image.height / down;
    const out = new Uint8Array(width * height);
    const share = fround(1 / (across * down));
    for (let y = 0, i = 0; y < height; y++) {
        for (let x = 0; x < width; x++, i++) {
            let sum = 0;
            for (let v = 0; v < down; v++) {
                const row = (y * down + v) * image.width + x * across;
                for (let u = 0; u < across; u++)
                    sum += image.data[row + u];
            }
            out[i] = level(fround(sum * share));
        }
    }
    return { data: out, width, height };
}
/** The shares of the pixels in each new pixel (cell) of a line, in order. */
function shares(small, large, scale) {
    const found = [];
    for (let cell = 0; cell < small; cell++) {
        const begin = cell * scale;
        const end = begin + scale;
        const width = Math.min(scale, large - begin);
        const last = Math.min(Math.floor(end), large - 1);
        const first = Math.min(Math.ceil(begin), last);
        if (first - begin > 1e-3)
            found.push([cell, first - 1, (first - begin) / width]);
        for (let pixel = first; pixel < last; pixel++)
            found.push([cell, pixel, 1 / width]);
        if (end - last > 1e-3)
            found.push([cell, last, Math.min(end - last, 1, width) / width]);
    }
    return {
        cells: Int32Array.from(found, ([cell]) => cell),
        pixels: Int32Array.from(found, ([, pixel]) => pixel),
        shares: Float32Array.from(found, ([, , share]) => share),
    };
}
/** Means over the area that each new pixel covers, in single precision and in the order of OpenCV. */
function areas(image, width, height, across, down) {
    const columns = shares(width, image.width, across);
    const rows = shares(height, image.height, down);
    const out = new Uint8Array(width * height);
    const line = new Float32Array(width);
    const sums = new Float32Array(width);
    const count = columns.cells.length;
    for (let r = 0; r < rows.cells.length; r++) {
        const start = rows.pixels[r] * image.width;
        line.fill(0);
        for (let c = 0; c < count; c++) {
            line[columns.cells[c]] += fround(image.data[start + columns.pixels[c]] * columns.shares[c]);
        }
        const share = rows.shares[r];
        const begins = r === 0 || rows.cells[r] !== rows.cells[r - 1];
        for (let x = 0; x < width; x++)
            sums[x] = (begins ? 0 : sums[x]) + fround(share * line[x]);
        if (r + 1 === rows.cells.length || rows.cells[r + 1] !== rows.cells[r]) {
            const row = rows.cells[r] * width;
            for (let x = 0; x < width; x++)
                out[row + x] = level(sums[x]);
        }
    }
    return { data: out, width, height };
}
/** For each new pixel in a line: the first of the two pixels around it, and their weights in 1/2048. */
function neighbors(small, large, mode) {
    const first = new Int32Array(large);
    const near = new Int32Array(large);
    const far = new Int32Array(large);
    const growth = large / small;
    const scale = 1 / growth;
    for (let i = 0; i < large; i++) {
        let place = fround((i + 0.5) * scale - 0.5);
        let rest;
        if (mode === "linear") {
            first[i] = Math.floor(place);
            rest = fround(place - first[i]);
        }
        else {
            first[i] = Math.floor(i * scale);
            place = fround(i + 1 - (first[i] + 1) * growth);
            rest = place <= 0 ? 0 : fround(place - Math.floor(place));
        }
        near[i] = roundEven(fround(fround(1 - rest) * 2048));
        far[i] = roundEven(fround(rest * 2048));
    }
    return [first, near, far];
}
/** Linear interpolation in integers, as in OpenCV. */
function between(image, width, height, mode) {
    const [columns, near, far] = neighbors(image.width, width, mode);
    const [rows, above, below] = neighbors(image.height, height, mode);
    const wide = new Int32Array(width * image.height);
    const last = image.width - 1;
    for (let y = 0, i = 0; y < image.height; y++) {
        const row = y * image.width;
        for (let x = 0; x < width; x++, i++) {
            const at = columns[x];
            if (at < 0 || at >= last)
                wide[i] = image.data[row + (at < 0 ? 0 : last)] * 2048;
            else
                wide[i] = image.data[row + at] * near[x] + image.data[row + at + 1] * far[x];
        }
    }
    const out = new Uint8Array(width * height);
    for (let y = 0, i = 0; y < height; y++) {
        const [a, b] = [rows[y], rows[y] + 1].map((row) => Math.min(Math.max(row, 0), image.height - 1) * width);
        for (let x = 0; x < width; x++, i++) {
            out[i] = (((above[y] * (wide[a + x] >> 4)) >> 16) + ((below[y] * (wide[b + x] >> 4)) >> 16) + 2) >> 2;
        }
    }
    return { data: out, width, height };
}
/** Filters with (1 2 1) x (1 2 1) / 16, .5 rounded up; mirrors at the edges without repeating them. */
export function smoothed(image) {
    const { data, width, height } = image;
    const lines = new Uint16Array(data.length);
    for (let y = 0, i = 0; y < height; y++) {
        for (let x = 0; x < width; x++, i++) {
            lines[i] = data[i + mirror(x - 1, width) - x] + 2 * data[i] + data[i + mirror(x + 1, width) - x];
        }
    }
    const out = new Uint8Array(data.length);
    for (let y = 0, i = 0; y < height; y++) {
        const [up, down] = [mirror(y - 1, height) * width, mirror(y + 1, height) * width];
        for (let x = 0; x < width; x++, i++)
            out[i] = (lines[up + x] + 2 * lines[i] + lines[down + x] + 8) >> 4;
    }
    return { data: out, width, height };
}
function mirror(place, length) {
    if (length === 1)
        return 0;
    return place < 0 ? -place : place >= length ? 2 * length - 2 - place : place;
}
/** The change between two images: 128 + gain * (now - before), rounded and clipped. */
export function difference(now, before, gain) {
    const out = new Uint8Array(now.data.length);
    const table = Float32Array.from({ length: 511 }, (_, i) => level(gain * (i - 255) + 128));
    for (let i = 0; i < out.length; i++)
        out[i] = table[now.data[i] - before.data[i] + 255];
    return { data: out, width: now.width, height: now.height };
}
