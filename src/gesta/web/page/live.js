/** Sends frames to /ws/live: at most two without an answer, the newest first; dropped frames are counted. */

import { socket, token } from "./server.js";

const UNANSWERED = 2;
const WINDOW_MS = 10_000;
const REASONS = {
  4401: "The token is wrong. Open the address that gesta studio printed.",
  4403: "The server refused this page because it comes from another address.",
  4404: "This model no longer exists.",
  4408: "No frame was sent for 30 s.",
  4413: "A frame was too large for the server.",
  4422: "The server could not read a frame.",
  4424: "This model cannot run on this computer. Reload the page to see why.",
  4429: "Eight cameras are in use already. Close one of them.",
};

/** Events: `answer` (detail: Answer plus captured_ms), `kept` (detail: the clip's id), `end` (detail: a sentence or ""). */
export class Live extends EventTarget {
  #ws;
  #sent = new Map();
  #seq = 0;
  #busy = false;
  #waiting = null;
  #times = [];
  #counts = [];

  constructor(model, subject) {
    super();
    this.#ws = socket(`/live?model=${encodeURIComponent(model)}`);
    this.#ws.onopen = () => this.#ws.send(JSON.stringify({ token: token(), subject }));
    this.#ws.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    this.#ws.onclose = ({ code }) => this.dispatchEvent(new CustomEvent("end", { detail: this.closed ? "" : REASONS[code] ?? "The connection to the server was lost." }));
  }

  closed = false;

  get open() {
    return this.#ws.readyState === WebSocket.OPEN;
  }

  close() {
    this.closed = true;
    this.#ws.close();
  }

  /** Sends thresholds to use in this connection, or {wrong: true}. */
  tell(message) {
    if (this.open) this.#ws.send(JSON.stringify(message));
  }

  /** Offers a frame; `jpeg` is called while the connection is open. */
  offer(frame, jpeg) {
    if (!this.open) return;
    this.#count(frame.lost);
    if (this.#busy || this.#sent.size >= UNANSWERED) {
      if (this.#waiting) this.#count(0, true);
      this.#waiting = { frame, jpeg: jpeg() };
      return;
    }
    this.#send(frame, jpeg());
  }

  #count(lost, isDropped = false) {
    const now = performance.now();
    this.#counts = this.#counts.filter((one) => one.now > now - WINDOW_MS);
    this.#counts.push(isDropped ? { now, offered: 0, dropped: 1 } : { now, offered: 1 + lost, dropped: lost });
  }

  async #send(frame, jpeg) {
    this.#busy = true;
    try {
      const data = await (await jpeg).arrayBuffer();
      if (!this.open) return;
      const message = new Uint8Array(12 + data.byteLength);
      const view = new DataView(message.buffer);
      view.setUint32(0, this.#seq, true);
      view.setBigUint64(4, BigInt(frame.time_us), true);
      message.set(new Uint8Array(data), 12);
      this.#sent.set(this.#seq, frame);
      this.#seq = (this.#seq + 1) >>> 0;
      this.#ws.send(message);
    } finally {
      this.#busy = false;
    }
    this.#next();
  }

  #next() {
    if (!this.#waiting || this.#busy || this.#sent.size >= UNANSWERED) return;
    const { frame, jpeg } = this.#waiting;
    this.#waiting = null;
    this.#send(frame, jpeg);
  }

  #hear(message) {
    if (message.kept !== undefined) {
      this.dispatchEvent(new CustomEvent("kept", { detail: message.kept }));
      return;
    }
    if (message.seq === undefined) return;
    const frame = this.#sent.get(message.seq);
    for (const seq of this.#sent.keys()) {
      if (seq > message.seq) break;
      if (seq < message.seq) this.#count(0, true);
      this.#sent.delete(seq);
    }
    const now = performance.now();
    if (frame) this.#times = [...this.#times.filter((one) => one.now > now - WINDOW_MS), { now, took_ms: now - frame.captured_ms }];
    this.dispatchEvent(new CustomEvent("answer", { detail: { ...message, time_us: frame?.time_us, captured_ms: frame?.captured_ms } }));
    this.#next();
  }

  /** Over the last ten seconds: {p50, p95} in ms, share `dropped`, and {answers, offered} per second. */
  get facts() {
    const took = this.#times.map((one) => one.took_ms).sort((a, b) => a - b);
    const at = (share) => took[Math.min(took.length - 1, Math.floor(share * took.length))];
    const sum = (name) => this.#counts.reduce((total, one) => total + one[name], 0);
    const span_s = this.#counts.length ? Math.max(1, (performance.now() - this.#counts[0].now) / 1000) : 1;
    const offered = sum("offered");
    return { p50: at(0.5), p95: at(0.95), dropped: offered ? sum("dropped") / offered : 0, answers: took.length / span_s, offered: offered / span_s };
  }
}

