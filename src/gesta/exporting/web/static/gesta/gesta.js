/**
 * A gesta model in the browser or in Node. Needs no server, only the files beside it.
 *
 *     import { load } from "./gesta/gesta.js";
 *     const model = await load(new URL("./", import.meta.url));
 *     for (const event of await model.push(imageData, seconds)) console.log(event.label);
 */
import { ClipFollower, PictureMaker, SkeletonMaker } from "./clips.js";
import { examples } from "./golden.js";
import { Network } from "./network.js";
import { argmax } from "./numbers.js";
import { fromMediaPipe } from "./skeleton.js";
import { SpottingFollower } from "./spotting.js";
/** A model with the state of one stream. Created by `load`. */
export class Recognizer {
    model;
    golden;
    /** The latest prediction: probabilities in the order of `labels`, and the time up to which they apply. */
    answer = null;
    /** Called with every prediction, also without a gesture. */
    onAnswer = () => { };
    follower;
    queue = Promise.resolve();
    constructor(model, network, golden) {
        this.model = model;
        this.golden = golden;
        const told = (answer) => {
            this.answer = answer;
            this.onAnswer(answer);
        };
        this.follower = followerOf(model, network, told);
    }
    get labels() {
        return this.model.labels;
    }
    /** Whether the model takes camera images; otherwise joints. */
    get takesPictures() {
        return this.model.kind === "clips" && this.model.pixels !== null;
    }
    /** Takes a frame and its time in seconds, later than the previous one; returns the events decided by it. */
    push(input, timeS) {
        return this.inTurn(() => this.follower.push(this.understood(input), timeS));
    }
    /** Ends the events in progress and returns them. The next push starts a new recording. */
    finish() {
        return this.inTurn(() => this.follower.finish());
    }
    /** Runs the exported example and compares the predictions with gesta's. */
    async check() {
        const found = [];
        const told = this.onAnswer;
        this.onAnswer = ({ probabilities }) => found.push(probabilities);
        try {
            await this.finish();
            let frame = 0;
            for (const input of examples(this.golden))
                await this.push(input, this.golden.times_s[frame++]);
            await this.finish();
        }
        finally {
            this.onAnswer = told;
            this.answer = null;
        }
        return this.compared(found);
    }
    compared(found) {
        const { answers, label: expected, tolerance } = this.golden;
        const apart = answers.flatMap(({ probabilities }, i) => probabilities.map((value, n) => Math.abs(value - (found[i]?.[n] ?? Infinity))));
        const largestDifference = Math.max(...apart);
        const label = this.labels[argmax(found[found.length - 1] ?? [])];
        const same = found.length === answers.length && label === expected && largestDifference <= tolerance;
        return { same, label, expected, largestDifference };
    }
    understood(input) {
        if (this.takesPictures) {
            if ("data" in input)
                return input;
            throw new Error("The model takes images: an ImageData, or { data, width, height } with RGB.");
        }
        const { space } = this.model;
        if ("width" in input && space !== null)
            return fromMediaPipe(space, input);
        return { skeleton: input, confidence: null };
    }
    /** Runs calls one after another, in order. */
    inTurn(work) {
        const next = this.queue.then(work);
        this.queue = next.catch(() => undefined);
        return next;
    }
}
function followerOf(model, network, told) {
    if (model.kind === "spotting")
        return new SpottingFollower(model, network, told);
    if (model.space !== null)
        return new ClipFollower(model, network, new SkeletonMaker(model), told);
    return new ClipFollower(model, network, new PictureMaker(model), told);
}
/** Opens the model in the folder at a URL. In Node, pass `read`, which reads a file in the folder. */
export async function load(folder, read = fetched(folder)) {
    const [model, golden] = await Promise.all([json(read, "model.json"), json(read, "golden.json")]);
    if (model.format !== 1)
        throw new Error(`model.json has format ${model.format}; this page reads format 1. Export the model again.`);
    const runtime = await import(new URL("onnxruntime/ort.js", folder).href);
    runtime.env.wasm.numThreads = 1;
    runtime.env.wasm.wasmBinary = await read("onnxruntime/ort.wasm");
    const network = await Network.open(runtime, model.network, await read(model.network.file));
    return new Recognizer(model, network, golden);
}
async function json(read, name) {
    return JSON.parse(new TextDecoder().decode(await read(name)));
}
function fetched(folder) {
    return async (name) => {
        const answer = await fetch(new URL(name, folder));
        if (!answer.ok)
            throw new Error(`${name} could not be read (${answer.status}). Serve the whole folder of the export.`);
        return new Uint8Array(await answer.arrayBuffer());
    };
}
