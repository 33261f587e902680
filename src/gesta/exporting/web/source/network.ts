/** The exported network on onnxruntime-web: named arrays in, probabilities out; keeps the state. */

import type { NetworkFile, Tensor } from "./model.js";
import { softmax } from "./numbers.js";

export type Values = Uint8Array | Float32Array | BigInt64Array;

export interface Feed {
  [name: string]: { data: Values; shape: number[] };
}

interface OrtTensor {
  data: Float32Array;
  dims: readonly number[];
}

interface Session {
  run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
}

/** The parts of onnxruntime-web that are used. */
export interface Runtime {
  env: { wasm: { numThreads?: number; wasmBinary?: ArrayBuffer | Uint8Array } };
  Tensor: new (type: string, data: Values, dims: number[]) => OrtTensor;
  InferenceSession: { create(model: Uint8Array, options: object): Promise<Session> };
}

export class Network {
  private state: Record<string, OrtTensor> = {};

  private constructor(
    private readonly runtime: Runtime,
    private readonly session: Session,
    readonly file: NetworkFile,
  ) {
    this.reset();
  }

  /** Opens a network on one thread, so that the page can be served without special headers. */
  static async open(runtime: Runtime, file: NetworkFile, content: Uint8Array): Promise<Network> {
    const session = await runtime.InferenceSession.create(content, { executionProviders: ["wasm"] });
    return new Network(runtime, session, file);
  }

  /** Resets the state to zeros, as before the first frame. */
  reset(): void {
    this.state = {};
    for (const { name, shape } of this.file.states) {
      const dims = shape.map((length) => (length < 0 ? 1 : length));
      const zeros = new Float32Array(dims.reduce((a, b) => a * b, 1));
      this.state[name] = new this.runtime.Tensor("float32", zeros, dims);
    }
  }

  /** Returns probabilities [rows][labels]. The state is kept for the next call. */
  async run(feed: Feed): Promise<number[][]> {
    const tensors = Object.entries(feed).map(([name, { data, shape }]) => {
      return [name, new this.runtime.Tensor(typeOf(data), data, shape)] as const;
    });
    const found = await this.session.run({ ...Object.fromEntries(tensors), ...this.state });
    for (const name of Object.keys(this.state)) this.state[name] = found[`${name}_out`];
    const { data, dims } = found["logits"];
    const labels = dims[dims.length - 1];
    return Array.from({ length: data.length / labels }, (_, row) => softmax(data.slice(row * labels, (row + 1) * labels)));
  }
}

function typeOf(data: Values): Tensor["dtype"] {
  if (data instanceof Uint8Array) return "uint8";
  return data instanceof Float32Array ? "float32" : "int64";
}
