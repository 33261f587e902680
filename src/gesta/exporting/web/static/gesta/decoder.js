/** Probabilities -> events (gesta.decoding): one gesture is one event, two in a row are two. Looks back only. */
import { argmax } from "./numbers.js";
/** A stretch of steps: first and last time, and the summed probabilities of the gestures. */
class Run {
    startS;
    lastS;
    sums;
    steps = 1;
    constructor(startS, values) {
        this.startS = startS;
        this.lastS = startS;
        this.sums = [...values];
    }
    add(timeS, values) {
        this.lastS = timeS;
        this.steps++;
        values.forEach((value, i) => (this.sums[i] += value));
    }
}
/** Smoothing, then two thresholds on the active probability, and a vote of the label over the event. */
export class Decoder {
    numbers;
    labels;
    names;
    none;
    timeS = -Infinity;
    mean = null;
    segmenter;
    constructor(numbers, labels) {
        this.numbers = numbers;
        this.labels = labels;
        this.names = labels.filter((label) => label !== numbers.none);
        this.none = labels.indexOf(numbers.none);
        if (!this.names.length)
            throw new Error(`The labels ${labels.join(", ")} contain no gesture.`);
        this.segmenter = new Segmenter(numbers, this.names);
    }
    /** Forgets everything, as before the first step. */
    reset() {
        this.timeS = -Infinity;
        this.mean = null;
        this.segmenter = new Segmenter(this.numbers, this.names);
    }
    /** The label of the event that is going on, once it has been fixed. */
    get current() {
        return this.segmenter.current;
    }
    /** Events that ended by this time, from the probabilities at it, in the order of the labels. */
    step(timeS, probabilities) {
        this.check(timeS, probabilities);
        const smooth = this.smoothed(timeS, probabilities);
        this.timeS = timeS;
        const gestures = smooth.filter((_, i) => i !== this.none);
        const active = this.none < 0 ? Math.max(...gestures) : 1 - smooth[this.none];
        return this.segmenter.step(timeS, gestures, active);
    }
    /** The event that is going on, ended at the last time. Then the decoder begins anew. */
    finish() {
        const last = this.segmenter.finish();
        this.reset();
        return last;
    }
    smoothed(timeS, values) {
        const { smoothing_s } = this.numbers;
        if (smoothing_s === 0)
            return values;
        const before = this.mean ?? values;
        const share = this.mean === null ? 1 : Math.exp((this.timeS - timeS) / smoothing_s);
        this.mean = values.map((value, i) => share * before[i] + (1 - share) * value);
        return this.mean;
    }
    check(timeS, values) {
        if (values.length !== this.labels.length) {
            throw new Error(`Expected ${this.labels.length} probabilities, got ${values.length}.`);
        }
        if (!(timeS > this.timeS) || !Number.isFinite(timeS))
            throw new Error("Times must be finite and increase.");
        if (!values.every((value) => value >= -1e-6 && value <= 1 + 1e-6)) {
            throw new Error("Probabilities must be in [0, 1]; take the softmax of a network's outputs first.");
        }
    }
}
/** The two thresholds and the vote, one step at a time. */
class Segmenter {
    numbers;
    names;
    run = null; // since active rose to `off`
    opened = false; // it reached `on`
    leader = null; // which gesture leads at `on` or above, since when
    settled = null; // the gesture that led at `on` for `least_s`
    fixed = null;
    lastS = 0;
    constructor(numbers, names) {
        this.numbers = numbers;
        this.names = names;
    }
    get current() {
        return this.fixed === null ? null : this.names[this.fixed.label];
    }
    step(timeS, gestures, active) {
        this.lastS = timeS;
        if (active < this.numbers.off)
            return this.quiet(timeS);
        return this.loud(timeS, gestures, active >= this.numbers.on);
    }
    finish() {
        return this.close(this.lastS);
    }
    /** Below `off`: what has not opened is forgotten, what is open ends when this has lasted long enough. */
    quiet(timeS) {
        this.leader = null;
        if (this.run !== null && (!this.opened || timeS - this.run.lastS >= this.numbers.rearm_s))
            return this.close(timeS);
        return [];
    }
    loud(timeS, values, atOn) {
        if (this.run === null)
            this.run = new Run(timeS, values);
        else
            this.run.add(timeS, values);
        this.opened = this.opened || atOn;
        this.follow(timeS, values);
        const ended = this.split(timeS);
        this.fix(timeS);
        return ended;
    }
    /** Keeps since when one gesture has been leading at `on` or above. */
    follow(timeS, values) {
        const label = argmax(values);
        if (!(values[label] >= this.numbers.on))
            this.leader = null;
        else if (this.leader !== null && this.leader.label === label)
            this.leader.run.add(timeS, values);
        else
            this.leader = { label, run: new Run(timeS, values) };
    }
    /** Where one gesture has led for `least_s` and now another has, what came before was an event of its own. */
    split(timeS) {
        if (this.run === null || this.leader === null || timeS - this.leader.run.startS < this.numbers.least_s)
            return [];
        const { label: next, run: later } = this.leader;
        const settled = this.settled;
        this.settled = next;
        const earlier = this.run.sums.map((sum, i) => sum - later.sums[i]);
        const label = this.fixed?.label ?? argmax(earlier);
        if (settled === null || next === settled || next === label)
            return [];
        const confidence = earlier[label] / (this.run.steps - later.steps);
        const event = this.event(label, this.run.startS, later.startS, confidence, this.fixed?.timeS ?? timeS);
        this.run = later;
        this.leader = this.fixed = null;
        return [event];
    }
    fix(timeS) {
        const { decide_s, least_s } = this.numbers;
        if (decide_s === null || !this.opened || this.fixed !== null || this.run === null)
            return;
        if (timeS - this.run.startS >= Math.max(decide_s, least_s))
            this.fixed = { label: argmax(this.run.sums), timeS };
    }
    close(timeS) {
        const run = this.run;
        const found = [];
        if (run !== null && this.opened && run.lastS - run.startS >= this.numbers.least_s) {
            const { label, timeS: decidedS } = this.fixed ?? { label: argmax(run.sums), timeS };
            found.push(this.event(label, run.startS, run.lastS, run.sums[label] / run.steps, decidedS));
        }
        this.run = this.leader = this.settled = this.fixed = null;
        this.opened = false;
        return found;
    }
    event(label, startS, endS, confidence, decidedS) {
        return { label: this.names[label], startS, endS, confidence, decidedS };
    }
}
