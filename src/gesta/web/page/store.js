/** The state of the server, kept up to date by /ws/state: `store.state`, `store.clips` (newest first), `store.findings`. */

import { get, socket, token } from "./server.js";

const GATHER_MS = 120;
const AGAIN_MS = [500, 1000, 2000, 4000];

class Store extends EventTarget {
  state = null;
  clips = [];
  findings = { findings: [], looked: 0, of: 0, ready: { ok: false, sentence: "", button: "" } };
  connected = false;
  #changed = new Set();
  #timer = 0;
  #tries = 0;
  #busy = null;

  async start() {
    await this.refresh();
    this.#listen();
  }

  /** Loads everything again and notifies the views. One request at a time; a later call waits for the first. */
  refresh() {
    this.#busy ??= this.#load().finally(() => { this.#busy = null; });
    return this.#busy;
  }

  async #load() {
    const [state, clips, findings] = await Promise.all([get("/state"), allClips(), get("/findings")]);
    Object.assign(this, { state, clips, findings });
    this.#tell();
  }

  async #loadState() {
    const [state, findings] = await Promise.all([get("/state"), get("/findings")]);
    Object.assign(this, { state, findings });
    this.#tell();
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }

  #listen() {
    const ws = socket("/state");
    ws.onopen = () => ws.send(JSON.stringify({ token: token() }));
    ws.onmessage = (message) => this.#hear(JSON.parse(message.data));
    ws.onclose = () => {
      this.connected = false;
      this.#tell();
      const wait = AGAIN_MS[Math.min(this.#tries++, AGAIN_MS.length - 1)];
      setTimeout(() => this.#listen(), wait);
    };
  }

  #hear(change) {
    if (change.type === "hello") {
      const returned = this.#tries > 0;
      Object.assign(this, { connected: true });
      this.#tries = 0;
      if (returned) this.#changed.add("clip");
      else return;
    }
    this.#changed.add(change.type);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#gathered(), GATHER_MS);
  }

  async #gathered() {
    const whole = this.#changed.has("clip") || this.#changed.has("label");
    this.#changed.clear();
    try {
      await (this.#busy ?? Promise.resolve());
      await (whole ? this.refresh() : this.#loadState());
    } catch { /* the closed socket reports it */ }
  }

  clip(id) {
    return this.clips.find((one) => one.id === id);
  }

  job(kind, ...states) {
    return this.state.jobs.find((one) => one.kind === kind && (!states.length || states.includes(one.state)));
  }

  /** Number of clips with open findings, plus open findings about all clips. */
  get toLookAt() {
    const open = this.findings.findings.filter((one) => !one.kept);
    return new Set(open.map((one) => one.clip || one.id)).size;
  }

  /** The latest model trained here, otherwise undefined. */
  get newest() {
    return this.state.models.find((one) => !one.demo);
  }

  model(id) {
    return this.state.models.find((one) => one.id === id) ?? this.newest ?? this.state.models[0];
  }
}

async function allClips() {
  const clips = [];
  let after = "";
  do {
    const page = await get(`/clips?after=${encodeURIComponent(after)}`);
    clips.push(...page.clips);
    after = page.next;
  } while (after);
  return clips;
}

export const store = new Store();

export const OPEN = ["waiting", "running", "stopping"];
