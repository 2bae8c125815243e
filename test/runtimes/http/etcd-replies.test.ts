// Our replies against those that a real etcd gave to the same requests (recorded by record-etcd.ts): byte by byte,
// except for ids and terms.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { SCENARIOS } from "./etcd-scenarios.ts";
import { memoryEngine } from "./memory-engine.ts";
import { type Recording, replyLine } from "./recording.ts";
import { post, testApp } from "./test-app.ts";

const recording = JSON.parse(
  readFileSync(new URL("etcd-3.4-replies.json", import.meta.url), "utf8"),
) as Recording;

/** An error without the fields that are ours alone, and without its words where they cannot be the same. */
function asEtcdSaysIt(status: number, body: string, ownWords: boolean): string {
  if (status === 200) return replyLine(status, body);
  const { error, message, code } = JSON.parse(body) as Record<string, unknown>;
  expect(error).toBe(message);
  return replyLine(status, JSON.stringify(ownWords ? { code } : { error, message, code }));
}

describe.each(SCENARIOS)("as etcd 3.4 replies: $name", ({ name, steps }) => {
  it("was recorded whole", () => {
    expect(recording.scenarios[name]?.length).toBe(steps.length);
  });

  it("replies the same", async () => {
    const { app, log } = testApp(memoryEngine());
    for (const [index, { path, body, ownWords }] of steps.entries()) {
      const [, status, recorded] = /^(\d+) (.*)$/s.exec(recording.scenarios[name]?.[index] ?? "") ?? [];
      const expected = asEtcdSaysIt(Number(status), recorded ?? "", ownWords === true);
      const response = await post(app, path, body);
      const reply = asEtcdSaysIt(response.status, await response.text(), ownWords === true);
      expect(reply, `${path} ${body.slice(0, 200)}`).toBe(expected);
    }
    expect(log).toEqual([]);
  });
});
