import { equalBytes } from "../../../core/bytes/index.ts";
import type { ObjectStore, ObjectVersion } from "../object-store.ts";
import { createObject } from "./create-object.ts";
import { decodeManifest, encodeManifest, type Manifest } from "./manifest.ts";
import type { Patience } from "./patience.ts";

export interface StoredManifest {
  readonly manifest: Manifest;
  readonly version: ObjectVersion;
}

/** The manifest in its store, changed only from the version that was read. */
export class ManifestObject {
  readonly name: string;
  readonly #store: ObjectStore;
  readonly #patience: Patience;

  constructor(store: ObjectStore, patience: Patience, journal: string) {
    this.name = `${journal}-manifest`;
    this.#store = store;
    this.#patience = patience;
  }

  /** Null: there is no journal yet. */
  async load(): Promise<StoredManifest | null> {
    const found = await this.#patience.ask(() => this.#store.get(this.name));
    if (found === null) return null;
    const place = `${this.#store.location}: ${this.name}`;
    return { manifest: decodeManifest(found.body, place), version: found.version };
  }

  /** The first manifest of a new journal; null when somebody else's is there. */
  async create(manifest: Manifest): Promise<StoredManifest | null> {
    const occupant = await createObject(this.#store, this.#patience, this.name, encodeManifest(manifest));
    if (occupant.type !== "mine") return null;
    const stored = await this.load();
    return stored?.manifest.owner === manifest.owner ? stored : null;
  }

  /** Changes what was read; null when somebody else has changed it. */
  async replace(stored: StoredManifest, next: Manifest): Promise<StoredManifest | null> {
    const body = encodeManifest(next);
    const retries = this.#patience.begin();
    for (;;) {
      let cause: unknown;
      try {
        const outcome = await this.#store.putIfMatch(this.name, body, stored.version);
        if (outcome.type === "written") return { manifest: next, version: outcome.version };
        const found = await this.#patience.ask(() => this.#store.get(this.name));
        if (found !== null && equalBytes(found.body, body)) {
          return { manifest: next, version: found.version };
        }
        if (outcome.type === "refused" || found?.version !== stored.version) return null;
        cause = new Error("a put without a reply, and nothing was written", { cause: outcome.cause });
      } catch (error) {
        cause = error;
      }
      await retries.pause(cause);
    }
  }
}
