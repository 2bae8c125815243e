// What users of the client see of it: what it loads, and how the compiler takes its errors.

import { readFileSync } from "node:fs";
import { describe, expect, expectTypeOf, it } from "vitest";
import { EngineError, ERRORS, type ErrorCode } from "../../../src/core/errors/index.ts";
import { type ClientError, isClientError } from "../../../src/runtimes/client/index.ts";

/** The files that are loaded for one, itself included. What is imported as a type is not. */
function loadedFor(file: URL, loaded: Set<string> = new Set()): Set<string> {
  if (loaded.has(file.href)) return loaded;
  loaded.add(file.href);
  const source = readFileSync(file, "utf8");
  for (const [, clause, from] of source.matchAll(/^(?:import|export)\s([^;"]*?)\s?from "([^"]+)";$/gms)) {
    if (clause!.startsWith("type ")) continue;
    if (!from!.startsWith(".")) loaded.add(from!);
    else loadedFor(new URL(from!, file), loaded);
  }
  return loaded;
}

describe("the client", () => {
  it("loads nothing of the engine, of Node or of anybody else", () => {
    const entry = new URL("../../../src/runtimes/client/index.ts", import.meta.url);
    const root = new URL("../../../src/", import.meta.url).href;
    const loaded = [...loadedFor(entry)];
    expect(loaded.length).toBeGreaterThan(30);
    const boxes = new Set(loaded.map((url) => url.replace(root, "").split("/").slice(0, -1).join("/")));
    expect([...boxes].toSorted()).toEqual([
      "core/bytes",
      "core/errors",
      "core/kv",
      "core/node",
      "core/node/client",
      "core/node/coordination",
      "runtimes/client",
      "runtimes/http",
      "runtimes/http/codec",
      "runtimes/http/etcd",
    ]);
    const few = (box: string): string[] =>
      loaded.filter((url) => url.replace(root, "").split("/").slice(0, -1).join("/") === box);
    expect(few("core/kv").length + few("core/node").length + few("runtimes/http").length).toBe(5);
  });
});

describe("its errors", () => {
  it("say by their code what can be done about them", () => {
    const codes = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => new EngineError(code).retryable);
    // Refused for the moment, or unavailable: nothing else passes by itself.
    expect(codes.filter((code) => ![8, 9, 14].includes(new EngineError(code).grpcCode))).toEqual([]);
    expect(new EngineError("timeout")).toMatchObject({ retryable: true, maybeApplied: true });
    expect(new EngineError("unreachable")).toMatchObject({ retryable: true, maybeApplied: false });
    expect(new EngineError("canceled")).toMatchObject({ retryable: false, maybeApplied: true });
    expect(new EngineError("compacted")).toMatchObject({ retryable: false, maybeApplied: false });
    expect(isClientError(new Error("mine"))).toBe(false);
  });

  it("are a union that narrows", () => {
    const narrowed = (error: ClientError): void => {
      expectTypeOf<ClientError["code"]>().toEqualTypeOf<ErrorCode>();
      switch (error.code) {
        case "compacted":
          expectTypeOf(error.compactRevision).toEqualTypeOf<number | undefined>();
          expectTypeOf(error.retryable).toEqualTypeOf<false>();
          break;
        case "tooManyRequests":
          expectTypeOf(error.retryable).toEqualTypeOf<true>();
          expectTypeOf(error.retryAfterMs).toEqualTypeOf<number | undefined>();
          break;
        case "noLeader":
          expectTypeOf(error.leaderUrls).toEqualTypeOf<readonly string[] | undefined>();
          expectTypeOf(error.compactRevision).toEqualTypeOf<undefined>();
          break;
        default:
          expectTypeOf(error.code).not.toExtend<"compacted">();
      }
    };
    expect(narrowed).toBeTypeOf("function");
  });
});
