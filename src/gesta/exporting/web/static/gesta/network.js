/** The exported network on onnxruntime-web: named arrays in, probabilities out; keeps the state. */
import { softmax } from "./numbers.js";
export class Network {
    runtime;
    session;
    file;
    state = {};
    constructor(runtime, session, file) {
        this.runtime = runtime;
        this.session = session;
        this.file = file;
        this.reset();
    }
    /** Opens a network on one thread, so that the page can be served without special headers. */
    static async open(runtime, file, content) {
        const session = await runtime.InferenceSession.create(content, { executionProviders: ["wasm"] });
        return new Network(runtime, session, file);
    }
    /** Resets the state to zeros, as before the first frame. */
    reset() {
        this.state = {};
        for (const { name, shape } of this.file.states) {
            const dims = shape.map((length) => (length < 0 ? 1 : length));
            const zeros = new Float32Array(dims.reduce((a, b) => a * b, 1));
            this.state[name] = new this.runtime.Tensor("float32", zeros, dims);
        }
    }
    /** Returns probabilities [rows][labels]. The state is kept for the next call. */
    async run(feed) {
        const tensors = Object.entries(feed).map(([name, { data, shape }]) => {
            return [name, new this.runtime.Tensor(typeOf(data), data, shape)];
        });
        const found = await this.session.run({ ...Object.fromEntries(tensors), ...this.state });
        for (const name of Object.keys(this.state))
            this.state[name] = found[`${name}_out`];
        const { data, dims } = found["logits"];
        const labels = dims[dims.length - 1];
        return Array.from({ length: data.length / labels }, (_, row) => softmax(data.slice(row * labels, (row + 1) * labels)));
    }
}
function typeOf(data) {
    if (data instanceof Uint8Array)
        return "uint8";
    return data instanceof Float32Array ? "float32" : "int64";
}
