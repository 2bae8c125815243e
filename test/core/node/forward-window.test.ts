import { expect, test } from "vitest";
import { ForwardWindow } from "../../../src/core/node/forward-window.ts";

const id = (sequence: number, proposer = 1n): { proposer: bigint; sequence: number } => ({
  proposer,
  sequence,
});

test("takes each id once in a term, in any order", () => {
  const window = new ForwardWindow(0);
  for (const sequence of [3, 1, 2]) expect(window.take(5, id(sequence))).toBe(true);
  for (const sequence of [1, 2, 3]) expect(window.take(5, id(sequence))).toBe(false);
  expect(window.take(5, id(1, 2n))).toBe(true);
});

test("does not take what is too old for it to remember", () => {
  const window = new ForwardWindow(0);
  expect(window.take(5, id(200_000))).toBe(true);
  expect(window.take(5, id(1))).toBe(false);
  // Not taken, but who knows: it may have been, long ago.
  expect(window.neverTook(5, id(1))).toBe(false);
});

test("forgets the ids of a proposer that are behind its window", () => {
  const window = new ForwardWindow(0);
  let taken = 0;
  for (let sequence = 1; sequence <= 300_000; sequence++) if (window.take(5, id(sequence))) taken++;
  expect(taken).toBe(300_000);
  for (const sequence of [1, 150_000, 299_999, 300_000]) expect(window.take(5, id(sequence))).toBe(false);
});

test("is certain not to have taken an id only where its memory reaches", () => {
  const window = new ForwardWindow(3);
  window.take(5, id(1));
  expect(window.neverTook(5, id(1))).toBe(false);
  expect(window.neverTook(5, id(2))).toBe(true);
  expect(window.neverTook(6, id(1))).toBe(true);
  // Before the last term it led in, and before this start, it remembers nothing.
  expect(window.neverTook(4, id(9))).toBe(false);
  expect(new ForwardWindow(3).neverTook(3, id(9))).toBe(false);
  expect(new ForwardWindow(3).neverTook(4, id(9))).toBe(true);
});
