import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  frame,
  FrameReader,
  Opcode,
  WebSocketProblem,
} from "../../../src/runtimes/node/web-socket/frames.ts";

interface ClientFrame {
  readonly opcode: number;
  readonly payload: Uint8Array;
  readonly fin?: boolean;
  readonly mask?: readonly number[];
}

/** As a client sends it. */
function clientFrame({ opcode, payload, fin = true, mask = [1, 2, 3, 4] }: ClientFrame): Buffer {
  const { length } = payload;
  const head = [(fin ? 0x80 : 0) | opcode];
  if (length > 0xffff)
    head.push(
      0x80 | 127,
      0,
      0,
      0,
      0,
      length >>> 24,
      (length >>> 16) & 255,
      (length >>> 8) & 255,
      length & 255,
    );
  else if (length > 125) head.push(0x80 | 126, length >>> 8, length & 255);
  else head.push(0x80 | length);
  return Buffer.from([...head, ...mask, ...payload.map((byte, i) => byte ^ mask[i % 4]!)]);
}

function read(chunks: readonly Buffer[], maxBytes = 1_000_000): string[] {
  const reader = new FrameReader(maxBytes);
  return chunks.flatMap((chunk) =>
    [...reader.push(chunk)].map(({ opcode, payload }) => `${opcode} ${payload.toString("hex")}`),
  );
}

function problem(bytes: Buffer, maxBytes?: number): number | null {
  try {
    read([bytes], maxBytes);
  } catch (error) {
    if (error instanceof WebSocketProblem) return error.closeCode;
    throw error;
  }
  return null;
}

const text = (payload: string, more: Partial<ClientFrame> = {}): Buffer =>
  clientFrame({ opcode: Opcode.text, payload: Buffer.from(payload), ...more });

describe("frames of a client", () => {
  it("are put together into messages, however they are cut, with other frames between their pieces", () => {
    const message = fc.record({
      pieces: fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 3 }),
      between: fc.option(fc.uint8Array({ maxLength: 125 })),
      mask: fc.tuple(...Array.from({ length: 4 }, () => fc.integer({ min: 0, max: 255 }))),
    });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), fc.integer({ min: 1, max: 700 }), (messages, size) => {
        const expected: string[] = [];
        const sent: Buffer[] = [];
        for (const { pieces, between, mask } of messages) {
          for (const [i, payload] of pieces.entries()) {
            const fin = i === pieces.length - 1;
            const opcode = i === 0 ? Opcode.text : Opcode.continuation;
            sent.push(clientFrame({ opcode, payload, fin, mask }));
            if (between !== null && !fin) {
              sent.push(clientFrame({ opcode: Opcode.ping, payload: between, mask }));
              expected.push(`9 ${Buffer.from(between).toString("hex")}`);
            }
          }
          expected.push(`1 ${Buffer.concat(pieces).toString("hex")}`);
        }
        const bytes = Buffer.concat(sent);
        const chunks: Buffer[] = [];
        for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
        expect(read(chunks)).toEqual(expected);
      }),
    );
  });

  it("may be large, up to a limit that is noticed before they have come", () => {
    const large = text("x".repeat(70_000));
    expect(read([large])[0]!.length).toBe(2 + 140_000);
    expect(problem(large.subarray(0, 10), 69_999)).toBe(1009);
    expect(problem(Buffer.from([0x81, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255]))).toBe(1009);
    const pieces = [text("x".repeat(60), { fin: false }), text("x".repeat(60), { opcode: 0 })];
    expect(problem(Buffer.concat(pieces), 100)).toBe(1009);
    // Nor without end.
    const empty = [
      text("", { fin: false }),
      ...Array.from({ length: 200 }, () => text("", { opcode: 0, fin: false })),
    ];
    expect(problem(Buffer.concat(empty), 100)).toBe(1009);
  });

  it.each<[string, Buffer]>([
    ["not masked", Buffer.from([0x81, 1, 97])],
    ["with reserved bits", Buffer.from([0xc1, 0x80, 0, 0, 0, 0])],
    ["of an unknown kind", clientFrame({ opcode: 3, payload: Buffer.alloc(0) })],
    ["a ping in pieces", clientFrame({ opcode: 9, payload: Buffer.alloc(0), fin: false })],
    ["a ping that is too long", clientFrame({ opcode: 9, payload: Buffer.alloc(126) })],
    ["a continuation of nothing", clientFrame({ opcode: 0, payload: Buffer.alloc(1) })],
    ["a message inside another", Buffer.concat([text("a", { fin: false }), text("b")])],
  ])("are refused: %s", (_what, bytes) => {
    expect(problem(bytes)).toBe(1002);
  });
});

it.each([
  [0, [0x81, 0]],
  [125, [0x81, 125]],
  [126, [0x81, 126, 0, 126]],
  [0xffff, [0x81, 126, 255, 255]],
  [0x10000, [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]],
])("a server's frame of %i bytes says so", (length, head) => {
  const bytes = frame(Opcode.text, new Uint8Array(length));
  expect([...bytes.subarray(0, head.length)]).toEqual(head);
  expect(bytes.length).toBe(head.length + length);
});
