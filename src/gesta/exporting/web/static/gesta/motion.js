/** A square that follows motion; the whole frame until something moves (gesta.clips.crops.MotionBox). */
import { scaled } from "./image.js";
import { roundEven } from "./numbers.js";
const fround = Math.fround;
/** The square that contains the whole image, centered. */
export function wholeFrame(height, width) {
    const side = Math.max(height, width);
    const [left, top] = [(width - side) / 2, (height - side) / 2];
    return [left, top, left + side, top + side];
}
export class MotionBox {
    numbers;
    smoothing;
    decay;
    before = null;
    energy = new Float32Array(0);
    center = null;
    velocity = [0, 0];
    side = 0;
    /** `smoothing`: weight of the past for each chunk of frames. */
    constructor(numbers, fps, smoothing) {
        this.numbers = numbers;
        this.smoothing = smoothing;
        this.decay = fround(0.5 ** (1 / (fps * numbers.half_life_s)));
    }
    /** Adds one gray frame. */
    see(gray) {
        const scale = this.numbers.side / Math.max(gray.width, gray.height);
        const [width, height] = [gray.width, gray.height].map((length) => Math.max(1, roundEven(length * scale)));
        const small = scaled(gray, width, height, "area");
        const before = this.before;
        if (before === null || before.width !== width || before.height !== height) {
            this.energy = new Float32Array(width * height);
        }
        else {
            const moved = withoutSpecks(this.changed(small, before), width, height);
            for (let i = 0; i < moved.length; i++)
                this.energy[i] = Math.max(this.energy[i] * this.decay, moved[i]);
        }
        this.before = small;
    }
    /** The box for the frames since the last call, in pixels of an image of this size. */
    follow(height, width) {
        if (mean(this.energy) < this.numbers.least) {
            this.velocity = [0, 0];
        }
        else {
            this.move(height, width);
        }
        if (this.center === null)
            return wholeFrame(height, width);
        const [[u, v], half] = [this.center, this.side / 2];
        return [u - half, v - half, u + half, v + half];
    }
    move(height, width) {
        const [seen, side] = this.aroundEnergy(height, width);
        if (this.center === null) {
            [this.center, this.side] = [seen, side];
            return;
        }
        const a = 1 - this.smoothing;
        for (const axis of [0, 1]) {
            const guess = this.center[axis] + this.velocity[axis];
            const ahead = a * (seen[axis] - guess);
            this.center[axis] = guess + ahead;
            this.velocity[axis] += ((a * a) / 2) * (seen[axis] - guess);
        }
        this.side += a * (side - this.side);
    }
    changed(now, before) {
        const moved = new Uint8Array(now.data.length);
        for (let i = 0; i < moved.length; i++) {
            moved[i] = Math.abs(now.data[i] - before.data[i]) > this.numbers.threshold ? 1 : 0;
        }
        return moved;
    }
    /** Center (u, v) and side of a square around the motion energy. */
    aroundEnergy(height, width) {
        const { width: across, height: down } = this.before;
        const rows = new Float32Array(down);
        const columns = new Float32Array(across);
        for (let y = 0, i = 0; y < down; y++) {
            let sum = 0;
            for (let x = 0; x < across; x++, i++) {
                sum += this.energy[i];
                columns[x] += this.energy[i];
            }
            rows[y] = sum;
        }
        const [top, bottom] = extent(rows);
        const [left, right] = extent(columns);
        const [high, wide] = [height / down, width / across];
        const { margin, smallest } = this.numbers;
        let side = Math.max((bottom - top) * high, (right - left) * wide) * (1 + 2 * margin);
        side = Math.min(Math.max(side, smallest * Math.min(height, width)), Math.max(height, width));
        return [[((left + right) / 2) * wide, ((top + bottom) / 2) * high], side];
    }
}
function mean(values) {
    let sum = 0;
    for (const value of values)
        sum += value;
    return values.length ? sum / values.length : 0;
}
/** Median filter, 3 x 3, of a binary image; edges are replicated. */
function withoutSpecks(moved, width, height) {
    const lines = new Uint8Array(moved.length);
    for (let y = 0, i = 0; y < height; y++) {
        for (let x = 0; x < width; x++, i++) {
            lines[i] = moved[x > 0 ? i - 1 : i] + moved[i] + moved[x + 1 < width ? i + 1 : i];
        }
    }
    const out = new Uint8Array(moved.length);
    for (let y = 0, i = 0; y < height; y++) {
        for (let x = 0; x < width; x++, i++) {
            const around = lines[y > 0 ? i - width : i] + lines[i] + lines[y + 1 < height ? i + width : i];
            out[i] = around > 4 ? 1 : 0;
        }
    }
    return out;
}
/** First and last position of the central 96 % of the weight, in single precision. */
function extent(weights) {
    let total = 0;
    for (const weight of weights)
        total += weight;
    total = fround(total);
    let [sum, first, last] = [0, 0, 0];
    for (const weight of weights) {
        sum = fround(sum + weight);
        const share = fround(sum / total);
        if (share < 0.02)
            first++;
        if (share < 0.98)
            last++;
    }
    return [first, Math.min(last + 1, weights.length)];
}
