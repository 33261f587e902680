/** Requests to the server: token, refusals, images as blobs, sockets. */

const KEPT = "gesta-token";
const HEADER = "X-Gesta-Token";
const SILENT = { error: "The server is not responding.", hint: "Is gesta studio still running? Your recordings are kept here and sent when it responds." };

/** Moves the token from the URL into this tab's storage. */
export function keepToken() {
  const found = /(?:^#|&)token=([^&]+)/.exec(location.hash);
  if (!found) return;
  sessionStorage.setItem(KEPT, decodeURIComponent(found[1]));
  history.replaceState(null, "", location.pathname);
}

export const token = () => sessionStorage.getItem(KEPT) ?? "";

/** The server refused a request (`status` 4xx, 5xx) or did not respond (`status` 0). */
export class Refused extends Error {
  constructor(status, refusal) {
    super(refusal.error);
    this.status = status;
    this.refusal = refusal;
  }

  get sentence() {
    return [this.refusal.error, this.refusal.hint].filter(Boolean).join(" ");
  }
}

async function refusalOf(answer) {
  try {
    const body = await answer.json();
    if (body.error) return body;
  } catch { /* not JSON */ }
  return { error: `The server responded with status ${answer.status}.`, hint: "" };
}

async function ask(method, path, body) {
  const binary = body instanceof ArrayBuffer || body instanceof Blob;
  const headers = { [HEADER]: token() };
  if (body !== undefined) headers["Content-Type"] = binary ? "application/octet-stream" : "application/json";
  let answer;
  try {
    answer = await fetch(`/api${path}`, { method, headers, body: body === undefined || binary ? body : JSON.stringify(body) });
  } catch {
    throw new Refused(0, SILENT);
  }
  if (!answer.ok) throw new Refused(answer.status, await refusalOf(answer));
  return answer;
}

/** Sends a request and returns the JSON of the response. Throws Refused. */
export async function call(method, path, body) {
  const answer = await ask(method, path, body);
  return answer.status === 204 ? null : answer.json();
}

export const get = (path) => call("GET", path);

/** Requests a blob: an image, a video or a download. Throws Refused. */
export async function blob(path) {
  return (await ask("GET", path)).blob();
}

const pictures = new Map();
const MOST_PICTURES = 400;

/** An object URL of an image, requested once per path. The oldest ones are released. */
export function picture(path) {
  if (!pictures.has(path)) {
    const asked = blob(path).then(URL.createObjectURL);
    asked.catch(() => pictures.delete(path));
    pictures.set(path, asked);
    if (pictures.size > MOST_PICTURES) forgetOldest();
  }
  return pictures.get(path);
}

function forgetOldest() {
  const [path, asked] = pictures.entries().next().value;
  pictures.delete(path);
  asked.then(URL.revokeObjectURL, () => {});
}

/** Requests a file and saves it. Throws Refused. */
export async function download(path, name) {
  const url = URL.createObjectURL(await blob(path));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export function socket(path) {
  const made = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/ws${path}`);
  made.binaryType = "arraybuffer";
  return made;
}
