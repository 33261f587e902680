/** Decodes events from probabilities (gesta.decoding): one for each gesture, two for two in a row. Causal. */
import { argmax } from "./numbers.js";
/** Consecutive steps: first and last time, and the summed probabilities of the gestures. */
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
/** Smooths, applies two thresholds to the probability of any gesture, and votes on the label of each event. */
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
    /** Resets the state, as before the first step. */
    reset() {
        this.timeS = -Infinity;
        this.mean = null;
        this.segmenter = new Segmenter(this.numbers, this.names);
    }
    /** The label of the event in progress, once it is fixed. */
    get current() {
        return this.segmenter.current;
    }
    /** Takes the probabilities at a time, in the order of the labels; returns the events that ended by then. */
    step(timeS, probabilities) {
        this.check(timeS, probabilities);
        const smooth = this.smoothed(timeS, probabilities);
        this.timeS = timeS;
        const gestures = smooth.filter((_, i) => i !== this.none);
        const active = this.none < 0 ? Math.max(...gestures) : 1 - smooth[this.none];
        return this.segmenter.step(timeS, gestures, active);
    }
    /** Ends the event in progress at the last time and returns it. Then the decoder starts again. */
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
/** Applies the two thresholds and the vote, one step at a time. */
class Segmenter {
    numbers;
    names;
    run = null; // since active rose to `off`
    opened = false; // it reached `on`
    leader = null; // the gesture that leads at `on` or above, and since when
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
    /** Below `off`: drops a run that did not reach `on`; ends an open event once this has lasted long enough. */
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
    /** Tracks since when one gesture has been leading at `on` or above. */
    follow(timeS, values) {
        const label = argmax(values);
        if (!(values[label] >= this.numbers.on))
            this.leader = null;
        else if (this.leader !== null && this.leader.label === label)
            this.leader.run.add(timeS, values);
        else
            this.leader = { label, run: new Run(timeS, values) };
    }
    /** If a gesture led for `least_s` and now another one has, what came before is a separate event. */
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
