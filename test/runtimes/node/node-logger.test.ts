import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import { type LogFormat, nodeLogger } from "../../../src/runtimes/node/index.ts";

function capture(format: LogFormat, level: "debug" | "info" | "warn" | "error" = "debug") {
  const lines: string[] = [];
  const now = () => new Date("2020-01-02T03:04:05.678Z");
  return { logger: nodeLogger({ level, format, write: (line) => lines.push(line), now }), lines };
}

describe("nodeLogger", () => {
  it("writes a readable line for each event", () => {
    const { logger, lines } = capture("text");
    logger.log("info", "node started", {
      nodeId: 0xabcn,
      name: "n 1",
      urls: ["http://a:1"],
      nothing: undefined,
    });
    logger.log("error", "plain");
    expect(lines).toEqual([
      `2020-01-02T03:04:05.678Z INFO  node started nodeId=abc name="n 1" urls=["http://a:1"]\n`,
      "2020-01-02T03:04:05.678Z ERROR plain\n",
    ]);
  });

  it("writes one JSON object for each event, ids and errors included", () => {
    const { logger, lines } = capture("json");
    const error = new EngineError("storageFull", { cause: new Error("inner") });
    logger.log("warn", "two\nlines", { peers: [1n, 255n], error, level: 3 });
    expect(lines[0]).toMatch(/^[^\n]+\n$/);
    expect(JSON.parse(lines[0]!)).toEqual({
      time: "2020-01-02T03:04:05.678Z",
      level: "warn",
      message: "two\nlines",
      peers: ["1", "ff"],
      error: {
        name: "EngineError",
        message: "d-engine: no space left for the log",
        code: "storageFull",
        stack: expect.stringContaining("EngineError"),
        cause: expect.objectContaining({ message: "inner" }),
      },
      level_: 3,
    });
  });

  it("keeps a text event on one line, whatever it carries", () => {
    const { logger, lines } = capture("text");
    logger.log("info", "event", { problem: "a\nb", error: new Error("c\nd") });
    expect(lines.join("").split("\n").length).toBe(2);
  });

  it("gives a terminal nothing but text, whatever others have written", () => {
    const { logger, lines } = capture("text");
    logger.log("warn", "event", { problem: "\u001b[2J", other: "\u009b2J", both: { a: "\u001b\u009b" } });
    expect(lines.join("")).toMatch(/^[ -~]+\n$/);
    expect(lines[0]).toContain('problem="\\u001b[2J" other="\\u009b2J"');
  });

  it("leaves out what is below its level", () => {
    const { logger, lines } = capture("text", "warn");
    for (const level of ["debug", "info", "warn", "error"] as const) logger.log(level, level);
    expect(lines.map((line) => line.trim().split(" ").at(-1))).toEqual(["warn", "error"]);
  });
});
