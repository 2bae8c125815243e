import type { Random } from "../../core/node/index.ts";
import { webRandom } from "../http/web-random.ts";

/** Randomness of the operating system. */
export const nodeRandom: Random = webRandom;
