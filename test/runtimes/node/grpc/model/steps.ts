// What a client, and the server's own methods, may do: drawn at random, much of it against the rules.

import fc from "fast-check";

/** Which stream is meant is found when it is played: one of those that are in such a state then. */
export interface Target {
  readonly state: "open" | "cutOff" | "half" | "closed" | "idle" | "even" | "zero" | "skipped";
  readonly pick: number;
}

/** How a request's head is, and what is to come of it. */
export type HeadKind =
  | "call"
  /** The method answers before it returns. */
  | "answered"
  | "announced"
  | "page"
  | "malformed"
  | "tooLarge"
  | "notHpack";

export type Step =
  | {
      readonly do: "begin";
      readonly head: HeadKind;
      readonly endStream: boolean;
      /** Streams left out. */
      readonly skip: number;
      readonly padding: number | null;
      readonly priority: boolean;
      /** Frames that the block takes; the last is left out where `breaksOff`. */
      readonly frames: number;
      readonly breaksOff: boolean;
    }
  | {
      readonly do: "data";
      readonly on: Target;
      readonly bytes: number;
      readonly times: number;
      readonly endStream: boolean;
      readonly padding: number | null;
      /** More padding than there is. */
      readonly isSpoilt: boolean;
    }
  | {
      readonly do: "trailers";
      readonly on: Target;
      readonly endStream: boolean;
      readonly kind: "fit" | "pseudo" | "notHpack";
    }
  | { readonly do: "reset"; readonly on: Target; readonly bytes: number }
  | { readonly do: "widen"; readonly on: Target; readonly by: number; readonly bytes: number }
  | { readonly do: "priority"; readonly on: Target; readonly bytes: number }
  | {
      readonly do: "settings";
      readonly rows: readonly (readonly [number, number])[];
      readonly ack: boolean;
      readonly on: Target;
      readonly extraBytes: number;
    }
  | { readonly do: "ping"; readonly ack: boolean; readonly on: Target; readonly bytes: number }
  | { readonly do: "goaway"; readonly on: Target; readonly bytes: number }
  | { readonly do: "promise"; readonly on: Target }
  | { readonly do: "continue"; readonly on: Target; readonly isOfBlock: boolean; readonly isLast: boolean }
  | { readonly do: "unknown"; readonly type: number; readonly on: Target; readonly bytes: number }
  | { readonly do: "giant"; readonly type: number; readonly on: Target }
  /** What follows is done by the server's own methods. */
  | { readonly do: "answer"; readonly pick: number; readonly bytes: number }
  | { readonly do: "finish"; readonly pick: number }
  | { readonly do: "pause"; readonly pick: number }
  | { readonly do: "resume"; readonly pick: number };

const often = <T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof(
    { weight: 60, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom(...others) },
  );

const pick = fc.nat(9);
const target = (...usual: readonly Target["state"][]): fc.Arbitrary<Target> =>
  fc.record({
    state: fc.oneof(
      { weight: 80, arbitrary: fc.constantFrom(...usual) },
      {
        weight: 1,
        arbitrary: fc.constantFrom<Target["state"]>(
          "open",
          "half",
          "closed",
          "idle",
          "even",
          "zero",
          "skipped",
        ),
      },
    ),
    pick,
  });

const MAX_WINDOW = 0x7fffffff;
const padding = fc.option(fc.nat(255), { freq: 5 });
const setting = fc.oneof(
  fc.tuple(fc.constant(1), fc.constantFrom(0, 100, 4096, 65_536)),
  fc.tuple(fc.constant(2), often(0, 1, 2)),
  fc.tuple(
    fc.constant(4),
    fc.oneof(fc.constantFrom(0, 1, 100, 5000, 65_535, 1 << 20), often(10, MAX_WINDOW, MAX_WINDOW + 1)),
  ),
  fc.tuple(fc.constant(5), often(16_384, 20_000, 0xffffff, 16_383, 0x1000000)),
  fc.tuple(fc.constantFrom(3, 6, 8, 0xffff), fc.nat(100_000)),
);

const begin = fc.record({
  do: fc.constant("begin" as const),
  head: fc.oneof(
    { weight: 20, arbitrary: fc.constant<HeadKind>("call") },
    {
      weight: 4,
      arbitrary: fc.constantFrom<HeadKind>("answered", "announced", "page", "malformed", "tooLarge"),
    },
    { weight: 1, arbitrary: fc.constant<HeadKind>("notHpack") },
  ),
  endStream: fc.boolean(),
  skip: often(0, 1, 2),
  padding,
  priority: often(false, true),
  frames: often(1, 2, 3),
  breaksOff: often(false, true),
});

const data = fc.record({
  do: fc.constant("data" as const),
  on: target("open", "open", "open", "cutOff"),
  bytes: fc.oneof(fc.nat(10), fc.constantFrom(0, 1000, 16_000)),
  times: often(1, 5),
  endStream: often(false, true),
  padding,
  isSpoilt: often(false, true),
});

/** More than the window of a call whose method does not look. */
const muchData = fc.record({
  do: fc.constant("data" as const),
  on: target("open"),
  bytes: fc.constantFrom(15_000, 16_000),
  times: fc.constantFrom(10, 20),
  endStream: fc.boolean(),
  padding: fc.constant(null),
  isSpoilt: fc.constant(false),
});

const ofClient = fc.oneof(
  { weight: 20, arbitrary: begin },
  { weight: 20, arbitrary: data },
  { weight: 2, arbitrary: muchData },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("trailers" as const),
      on: target("open", "open", "cutOff"),
      endStream: often(true, false),
      kind: often<"fit" | "pseudo" | "notHpack">("fit", "pseudo", "notHpack"),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("reset" as const),
      on: target("open", "half", "closed"),
      bytes: often(4, 3, 5),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant("widen" as const),
      on: target("open", "half", "closed", "zero"),
      by: fc.oneof(
        { weight: 6, arbitrary: fc.constantFrom(1, 100, 5000, 100_000) },
        { weight: 1, arbitrary: fc.constantFrom(0, MAX_WINDOW, MAX_WINDOW - 70_000) },
      ),
      bytes: often(4, 3, 5),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("priority" as const),
      on: target("open", "half", "closed", "idle"),
      bytes: often(5, 4, 6),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("settings" as const),
      rows: fc.array(setting, { maxLength: 3 }),
      ack: often(false, true),
      on: target("zero"),
      extraBytes: often(0, 1, 5),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("ping" as const),
      ack: often(false, true),
      on: target("zero"),
      bytes: often(8, 7, 9),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("goaway" as const),
      on: target("zero"),
      bytes: often(8, 7, 20),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("unknown" as const),
      type: fc.integer({ min: 10, max: 255 }),
      on: target("open", "half", "closed", "zero", "idle"),
      bytes: fc.nat(30),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("continue" as const),
      on: target("open"),
      isOfBlock: often(true, false),
      isLast: often(true, false),
    }),
  },
);

const againstAll = fc.oneof(
  fc.record({ do: fc.constant("promise" as const), on: target("open", "idle") }),
  fc.record({ do: fc.constant("giant" as const), type: fc.nat(10), on: target("open", "zero", "closed") }),
);

const ofServer = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("answer" as const),
      pick,
      // Two of the last are more than a connection's window at first.
      bytes: fc.constantFrom(1, 300, 4000, 40_000, 40_000),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("finish" as const), pick }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("pause" as const), pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("resume" as const), pick }) },
);

/** What is done on one connection, in order. */
export const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 120, arbitrary: ofClient as fc.Arbitrary<Step> },
    { weight: 60, arbitrary: ofServer as fc.Arbitrary<Step> },
    { weight: 1, arbitrary: againstAll as fc.Arbitrary<Step> },
  ),
  { minLength: 1, maxLength: 60, size: "max" },
);
