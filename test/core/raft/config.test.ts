import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import { RAFT_DEFAULTS, raftOptions, type RaftOptions } from "../../../src/core/raft/index.ts";

function complaint(options: Partial<RaftOptions>): string {
  try {
    raftOptions({ nodeId: 1n, ...options });
  } catch (error) {
    if (error instanceof EngineError && error.code === "invalidConfig") return error.message;
    throw error;
  }
  return "accepted";
}

const NUMBERS = Object.keys(RAFT_DEFAULTS) as (keyof typeof RAFT_DEFAULTS)[];
const MAY_BE_ZERO = [
  "clockDriftBoundMs",
  "tailBytes",
  "promotionMaxLag",
  "commitNewsDelayMs",
  "quiesceAfterMs",
];

describe("raftOptions", () => {
  it("fills in defaults that pass its own checks, and keeps what is given", () => {
    expect(raftOptions({ nodeId: 1n })).toEqual({ nodeId: 1n, ...RAFT_DEFAULTS });
    expect(raftOptions({ nodeId: 7n, tailBytes: 5 })).toEqual({ ...RAFT_DEFAULTS, nodeId: 7n, tailBytes: 5 });
  });

  it.each(NUMBERS)("refuses %s by name when it is no number of at least 0", (name) => {
    for (const bad of [-1, Number.NaN, Number.POSITIVE_INFINITY, "5" as unknown as number]) {
      expect(complaint({ [name]: bad })).toContain(name);
    }
    expect(complaint({ [name]: undefined } as unknown as Partial<RaftOptions>)).toContain(name);
  });

  it.each(NUMBERS.filter((name) => !MAY_BE_ZERO.includes(name)))(
    "refuses %s by name when it is 0",
    (name) => {
      expect(complaint({ [name]: 0 })).toContain(`${name} must be greater than 0`);
    },
  );

  it.each(MAY_BE_ZERO)("takes 0 for %s", (name) => {
    expect(complaint({ [name]: 0 })).toBe("accepted");
  });

  it.each([0n, -1n, 1n << 64n])("refuses node id %s", (nodeId) => {
    expect(complaint({ nodeId })).toContain("nodeId");
  });

  it("takes the largest 64-bit node id", () => {
    expect(complaint({ nodeId: (1n << 64n) - 1n })).toBe("accepted");
  });

  it("refuses heartbeats so rare that one lost would cause an election", () => {
    expect(complaint({ electionTimeoutMs: 300, clockDriftBoundMs: 10, heartbeatIntervalMs: 101 })).toContain(
      "heartbeatIntervalMs",
    );
    expect(complaint({ electionTimeoutMs: 300, clockDriftBoundMs: 10, heartbeatIntervalMs: 100 })).toBe(
      "accepted",
    );
  });

  it("refuses a clock drift bound that would leave nothing of the lease", () => {
    expect(complaint({ clockDriftBoundMs: 1000 })).toContain("clockDriftBoundMs");
    expect(complaint({ clockDriftBoundMs: 999 })).toBe("accepted");
  });
});
