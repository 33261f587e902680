/** Parts of recordings that the server has not acknowledged yet, in IndexedDB; only in memory if the browser has none. */

const NAME = "gesta-studio";
let opened;

function open() {
  opened ??= new Promise((done, fail) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore("parts", { keyPath: ["take", "n"] });
      asked.result.createObjectStore("takes", { keyPath: "take" });
    };
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => fail(asked.error);
  });
  return opened;
}

async function run(store, mode, work) {
  try {
    const base = await open();
    return await new Promise((done, fail) => {
      const transaction = base.transaction(store, mode);
      const asked = work(transaction.objectStore(store));
      transaction.oncomplete = () => done(asked?.result);
      transaction.onabort = () => fail(transaction.error);
    });
  } catch {
    return undefined; // no IndexedDB: the parts are only in memory
  }
}

const ofTake = (take) => IDBKeyRange.bound([take, 0], [take, Infinity]);

/** Facts about a recording: {take, folder, parts, finish: FinishBody or null}. */
export const keepTake = (facts) => run("takes", "readwrite", (all) => all.put(facts));
export const takes = async () => (await run("takes", "readonly", (all) => all.getAll())) ?? [];
export const keepPart = (take, n, data) => run("parts", "readwrite", (all) => all.put({ take, n, data }));
export const dropPart = (take, n) => run("parts", "readwrite", (all) => all.delete([take, n]));
export const parts = async (take) => (await run("parts", "readonly", (all) => all.getAll(ofTake(take)))) ?? [];

export async function forget(take) {
  await run("parts", "readwrite", (all) => all.delete(ofTake(take)));
  await run("takes", "readwrite", (all) => all.delete(take));
}
