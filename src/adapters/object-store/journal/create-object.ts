import { equalBytes } from "../../../core/bytes/index.ts";
import type { ObjectStore } from "../object-store.ts";
import type { Patience } from "./patience.ts";

/** What holds the name now: what was to be written, something else, or, after a refusal, nothing any more. */
export type Occupant =
  | { readonly type: "mine" }
  | { readonly type: "other"; readonly body: Uint8Array }
  | { readonly type: "vanished" };

/**
 * Creates an object, and finds out what became of that: after a lost reply by reading back. The body must be one
 * that nobody else would write, since equal bytes are taken for one's own. A free name after a lost reply is tried
 * again with the same body: should the first attempt land yet, it is the same.
 */
export async function createObject(
  store: ObjectStore,
  patience: Patience,
  name: string,
  body: Uint8Array,
): Promise<Occupant> {
  const retries = patience.begin();
  for (;;) {
    let cause: unknown;
    try {
      const outcome = await store.putIfAbsent(name, body);
      if (outcome.type === "written") return { type: "mine" };
      const found = await patience.ask(() => store.get(name));
      if (found !== null) {
        return equalBytes(found.body, body) ? { type: "mine" } : { type: "other", body: found.body };
      }
      if (outcome.type === "refused") return { type: "vanished" };
      cause = new Error("a put without a reply, and nothing was written", { cause: outcome.cause });
    } catch (error) {
      cause = error;
    }
    await retries.pause(cause);
  }
}
