/** Chunks of frames -> what the network sees of them (gesta.clips.cropping.Cropper). */
import { color, cut, difference, gray, resized, smoothed } from "./image.js";
import { MotionBox, wholeFrame } from "./motion.js";
const COLORS = ["red", "green", "blue"];
const DIFFERENCE = "_difference";
/** A frame as planes that are made when they are needed, and once. */
export class Planes {
    picture;
    made = new Map();
    constructor(picture) {
        this.picture = picture;
        const { data, width, height } = picture;
        const values = data.length / (width * height);
        if (values !== 3 && values !== 4)
            throw new Error(`A frame has ${values} values per pixel. Expected 3 (RGB) or 4 (RGBA).`);
    }
    of(name) {
        let plane = this.made.get(name);
        if (plane === undefined) {
            plane = name === "gray" ? gray(this.picture) : color(this.picture, COLORS.indexOf(name));
            this.made.set(name, plane);
        }
        return plane;
    }
}
export class Cropper {
    pixels;
    fps;
    motion;
    box = [0, 0, 1, 1];
    before = null;
    constructor(pixels, fps) {
        this.pixels = pixels;
        this.fps = fps;
        this.motion = new MotionBox(pixels.motion, fps, pixels.box_smoothing);
    }
    /** Forgets everything, as before the first frame. */
    reset() {
        this.motion = new MotionBox(this.pixels.motion, this.fps, this.pixels.box_smoothing);
        this.before = null;
    }
    /** A chunk of frames -> one plane a channel (C) for each of them. */
    preprocess(frames) {
        const { width, height } = frames[0].picture;
        this.box = wholeFrame(height, width);
        if (this.pixels.body === "motion") {
            for (const frame of frames)
                this.motion.see(frame.of("gray"));
            this.box = this.motion.follow(height, width);
        }
        return frames.map((frame) => this.frame(frame));
    }
    frame(frame) {
        const before = this.before ?? frame;
        this.before = frame;
        return this.pixels.channels.map((channel) => {
            const image = this.channel(frame, before, channel);
            return resized(this.pixels.smooth ? smoothed(image) : image, this.pixels.size);
        });
    }
    channel(frame, before, channel) {
        const name = channel.replace(DIFFERENCE, "");
        const now = cut(frame.of(name), this.box);
        if (name === channel)
            return now;
        const { picture } = before;
        const alike = picture.width === frame.picture.width && picture.height === frame.picture.height;
        return difference(now, alike ? cut(before.of(name), this.box) : now, this.pixels.difference_gain);
    }
}
