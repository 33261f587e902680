/** Upload of recordings in numbered parts; each is kept here until the server has stored it. */

import { call, Refused } from "./server.js";
import { complain } from "./say.js";
import * as kept from "./kept.js";

const PART_FRAMES = 30;
const PART_BYTES = 4 * 2 ** 20;
const AGAIN_MS = [300, 1000, 2000, 5000];

/** Packs frames, little-endian: count u32, then for each its time u64 in microseconds, size u32 and the JPEG. */
async function pack(frames) {
  const blobs = await Promise.all(frames.map((frame) => frame.jpeg));
  const buffers = await Promise.all(blobs.map((one) => one.arrayBuffer()));
  const total = buffers.reduce((sum, one) => sum + 12 + one.byteLength, 4);
  const data = new Uint8Array(total);
  const view = new DataView(data.buffer);
  view.setUint32(0, frames.length, true);
  let at = 4;
  buffers.forEach((buffer, index) => {
    view.setBigUint64(at, BigInt(frames[index].time_us), true);
    view.setUint32(at + 8, buffer.byteLength, true);
    data.set(new Uint8Array(buffer), at + 12);
    at += 12 + buffer.byteLength;
  });
  return data.buffer;
}

const wait = (ms) => new Promise((done) => { setTimeout(done, ms); });

/** Whether it helps to retry later: the server does not respond, is busy, or its disk is full. */
const passes = (error) => error instanceof Refused && [0, 429, 500, 502, 503, 507].includes(error.status);

async function patiently(work, isDropped = () => false) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (!passes(error) || isDropped()) throw error;
      if (tries === 1) complain(error.sentence);
      await wait(AGAIN_MS[Math.min(tries, AGAIN_MS.length - 1)]);
    }
  }
}

const sendPart = (take, n, data, isDropped) =>
  patiently(() => call("PUT", `/takes/${take}/parts/${n}`, data), isDropped).then(() => kept.dropPart(take, n));

export class Take {
  frames = 0;
  #waiting = [];
  #bytes = 0;
  #parts = 0;
  #sent = Promise.resolve();
  #dropped = false;

  constructor(id, folder) {
    this.id = id;
    this.folder = folder;
  }

  /** `body`: a TakeBody. Other windows do not touch it while this one is open. */
  static async open(body, folder) {
    const { take } = await call("POST", "/takes", body);
    const made = new Take(take, folder);
    navigator.locks?.request(`gesta-take-${take}`, () => new Promise((done) => { made.release = done; }));
    await kept.keepTake({ take, folder, parts: 0, finish: null });
    return made;
  }

  release() {}

  add(time_us, jpeg) {
    this.#waiting.push({ time_us, jpeg });
    this.frames += 1;
    jpeg.then((one) => { this.#bytes += one.size; });
    if (this.#waiting.length >= PART_FRAMES || this.#bytes >= PART_BYTES) this.#cut();
  }

  #cut() {
    const [frames, n] = [this.#waiting, this.#parts];
    this.#waiting = [];
    this.#bytes = 0;
    this.#parts += 1;
    this.#sent = this.#sent.then(async () => {
      if (this.#dropped) return;
      const data = await pack(frames);
      await kept.keepPart(this.id, n, data);
      await kept.keepTake({ take: this.id, folder: this.folder, parts: n + 1, finish: null });
      await sendPart(this.id, n, data, () => this.#dropped);
    });
    this.#sent.catch(() => {});
  }

  /** Sends the remaining frames. `facts`: lost and reason of a FinishBody. Returns a TakeDone. Throws Refused. */
  async finish(facts) {
    if (this.#waiting.length) this.#cut();
    const body = { ...facts, parts: this.#parts };
    await kept.keepTake({ take: this.id, folder: this.folder, parts: this.#parts, finish: body });
    try {
      await this.#sent;
      return await patiently(() => call("POST", `/takes/${this.id}/finish`, body));
    } finally {
      await kept.forget(this.id);
      this.release();
    }
  }

  async drop() {
    this.#dropped = true;
    await kept.forget(this.id);
    this.release();
    await call("DELETE", `/takes/${this.id}`).catch(() => {});
  }
}

async function sendAgain(facts) {
  const there = await call("GET", `/takes/${facts.take}`);
  for (const part of await kept.parts(facts.take)) {
    if (there.parts.includes(part.n)) await kept.dropPart(facts.take, part.n);
    else await sendPart(facts.take, part.n, part.data);
  }
  const finish = facts.finish ?? { parts: facts.parts, lost: 0, reason: "page" };
  if (finish.parts) return call("POST", `/takes/${facts.take}/finish`, finish);
  await call("DELETE", `/takes/${facts.take}`);
  return null;
}

async function settle(facts) {
  let done = null;
  try {
    done = await sendAgain(facts);
  } catch (error) {
    if (passes(error)) throw error; // kept for the next try; otherwise the server has closed it in the meantime
  }
  await kept.forget(facts.take);
  return done;
}

/** Sends and finishes what an earlier page left behind. Returns the TakeDones. */
export async function resend(folder) {
  const done = [];
  for (const facts of await kept.takes()) {
    if (facts.folder !== folder) continue;
    const work = () => settle(facts);
    const ended = navigator.locks
      ? await navigator.locks.request(`gesta-take-${facts.take}`, { ifAvailable: true }, (lock) => lock && work())
      : await work();
    if (ended) done.push(ended);
  }
  return done;
}
