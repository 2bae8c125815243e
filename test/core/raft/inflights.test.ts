import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Inflights } from "../../../src/core/raft/inflights.ts";

describe("Inflights", () => {
  it("is full by messages", () => {
    const window = new Inflights(2, 1000);
    window.add(1, 1);
    expect(window.isFull()).toBe(false);
    window.add(2, 1);
    expect(window.isFull()).toBe(true);
  });

  it("is full by bytes, yet lets one message of any size through", () => {
    const window = new Inflights(10, 100);
    window.add(5, 100_000);
    expect(window.isFull()).toBe(true);
    window.freeTo(5);
    expect(window.isFull()).toBe(false);
  });

  it("frees everything up to an index, even one between two messages' last indexes", () => {
    const window = new Inflights(10, 1000);
    window.add(3, 30);
    window.add(5, 20);
    window.freeTo(4);
    expect([window.count, window.bytes]).toEqual([1, 20]);
    window.freeTo(2);
    expect([window.count, window.bytes]).toEqual([1, 20]);
  });

  it("is an error to overfill: the sender must look first", () => {
    const window = new Inflights(1, 1000);
    window.add(1, 1);
    expect(() => window.add(2, 1)).toThrow("room");
  });

  it("behaves like a plain list of what is on its way", () => {
    const operation = fc.oneof(
      fc.record({ add: fc.nat(50), gap: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ freeTo: fc.nat(40) }),
      fc.constant("clear" as const),
    );
    const limits = fc.record({ messages: fc.integer({ min: 1, max: 4 }), bytes: fc.nat(120) });
    fc.assert(
      fc.property(limits, fc.array(operation, { maxLength: 40 }), (limit, operations) => {
        const window = new Inflights(limit.messages, limit.bytes);
        let model: { index: number; bytes: number }[] = [];
        let last = 0;
        for (const op of operations) {
          if (op === "clear") {
            window.clear();
            model = [];
          } else if ("freeTo" in op) {
            window.freeTo(op.freeTo);
            model = model.filter(({ index }) => index > op.freeTo);
          } else if (!window.isFull()) {
            last += op.gap;
            window.add(last, op.add);
            model.push({ index: last, bytes: op.add });
          }
          const bytes = model.reduce((sum, message) => sum + message.bytes, 0);
          expect([window.count, window.bytes]).toEqual([model.length, bytes]);
          expect(window.isFull()).toBe(model.length >= limit.messages || bytes >= limit.bytes);
        }
      }),
    );
  });
});
