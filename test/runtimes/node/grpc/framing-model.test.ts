// Random frames, most of them within the rules and some against them, against a model of RFC 9113.
// `node test/blackbox/http2-model.ts` does it for longer, and `--seed=` repeats that.

import { expect, it } from "vitest";
import { explore } from "./model/explore.ts";

it("keeps the rules of RFC 9113 whatever a client does, and has the client keep them", async () => {
  const { nothing, stream, connection } = await explore({ numRuns: 300 });
  // Each of the three ways has been seen.
  expect(Math.min(nothing, stream, connection)).toBeGreaterThan(10);
});
