/** Runs a clip model on a stream: frames in, a prediction after each chunk (gesta.tasks.clips.stream and follow). */
import { Ticker } from "./clock.js";
import { Decoder } from "./decoder.js";
import { Cropper, Planes } from "./pixels.js";
import { Normalizer } from "./skeleton.js";
export class ClipFollower {
    model;
    network;
    maker;
    onAnswer;
    ticker;
    decoder;
    ring = [];
    chunks = 0;
    decodedS = -1;
    halfS;
    /** `onAnswer` is called with every prediction, also without a gesture. */
    constructor(model, network, maker, onAnswer) {
        this.model = model;
        this.network = network;
        this.maker = maker;
        this.onAnswer = onAnswer;
        this.ticker = new Ticker(model.timing);
        this.halfS = model.timing.chunk / model.timing.fps / 2;
        this.decoder = new Decoder(model.decoder, model.labels);
    }
    /** Takes a frame and its time in seconds; returns the events decided by it. */
    async push(frame, timeS) {
        return this.see(this.ticker.push(frame, timeS));
    }
    /** Ends the events in progress and returns them. Then the stream starts again. */
    async finish() {
        const events = await this.see(this.ticker.flush());
        this.maker.reset();
        this.clear();
        this.chunks = 0;
        this.decodedS = -1;
        return [...events, ...this.real(this.decoder.finish())];
    }
    async see(chunks) {
        const events = [];
        for (const { frames, endS } of chunks) {
            const [probabilities] = await this.answer(this.maker.chunk(frames));
            this.onAnswer({ timeS: endS, probabilities });
            const middleS = endS - this.halfS; // a prediction refers to the middle of its chunk
            if (middleS <= this.decodedS)
                continue;
            this.decodedS = middleS;
            events.push(...this.real(this.decoder.step(middleS, probabilities)));
        }
        return events;
    }
    /** Extends events between middles of chunks to the start of their first and the end of their last chunk. */
    real(events) {
        return events.map(({ startS, endS, decidedS, ...event }) => {
            return { ...event, startS: startS - this.halfS, endS: endS + this.halfS, decidedS: decidedS + this.halfS };
        });
    }
    answer(frames) {
        const { reset_after_chunks, sampling, window, timing } = this.model;
        if (reset_after_chunks !== null && this.chunks === reset_after_chunks) {
            this.clear();
            this.chunks = 0;
        }
        this.chunks++;
        if (this.network.file.role === "step")
            return this.network.run({ chunk: this.maker.feed(frames, timing.chunk) });
        this.ring = [...this.ring, ...frames].slice(-window);
        const length = sampling === "central" ? window : Math.ceil(this.ring.length / timing.chunk) * timing.chunk;
        const feed = { clip: this.maker.feed(this.ring, length) };
        if (this.network.file.inputs.some(({ name }) => name === "lengths")) {
            feed["lengths"] = { data: BigInt64Array.of(BigInt(this.ring.length)), shape: [1] };
        }
        return this.network.run(feed);
    }
    clear() {
        this.network.reset();
        this.ring = [];
    }
}
/** Images: 1, 1, channels, frames, height, width; padded with black after the last one. */
export class PictureMaker {
    cropper;
    planes = new WeakMap();
    constructor(model) {
        if (model.pixels === null)
            throw new Error("The model takes no images. Push joints.");
        this.cropper = new Cropper(model.pixels, model.timing.fps);
    }
    reset() {
        this.cropper.reset();
    }
    chunk(frames) {
        const seen = this.cropper.preprocess(frames.map((frame) => this.planesOf(frame)));
        return seen.map((channels) => {
            const size = channels[0].data.length;
            const joined = new Uint8Array(channels.length * size);
            channels.forEach((plane, i) => joined.set(plane.data, i * size));
            return joined;
        });
    }
    feed(frames, length) {
        const { size, channels } = this.cropper.pixels;
        const area = size * size;
        const data = new Uint8Array(channels.length * length * area);
        frames.forEach((frame, t) => {
            channels.forEach((_, c) => data.set(frame.subarray(c * area, (c + 1) * area), (c * length + t) * area));
        });
        return { data, shape: [1, 1, channels.length, length, size, size] };
    }
    /** The planes of a frame, computed once also if it is used twice. */
    planesOf(frame) {
        const planes = this.planes.get(frame) ?? new Planes(frame);
        this.planes.set(frame, planes);
        return planes;
    }
}
/** Joints: 1, frames, joints, and their coordinates followed by 1 if the joint is present. */
export class SkeletonMaker {
    model;
    normalizer;
    constructor(model) {
        this.model = model;
        if (model.space === null)
            throw new Error("The model takes no joints. Push images.");
        this.normalizer = new Normalizer(model.space);
    }
    reset() {
        this.normalizer.reset();
    }
    chunk(frames) {
        return frames.map(({ skeleton, confidence }) => this.normalizer.next(skeleton, confidence));
    }
    feed(frames, length) {
        const space = this.model.space;
        const [joints, dimensions] = [space.joints.length, space.dimensions];
        const data = new Float32Array(length * joints * (dimensions + 1));
        frames.forEach((frame, t) => {
            for (let joint = 0; joint < joints; joint++) {
                const at = (t * joints + joint) * (dimensions + 1);
                const point = frame.subarray(joint * dimensions, (joint + 1) * dimensions);
                if (point.every(Number.isFinite)) {
                    data.set(point, at);
                    data[at + dimensions] = 1;
                }
            }
        });
        return { data, shape: [1, length, joints, dimensions + 1] };
    }
}
