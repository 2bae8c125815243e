// Three Durable Objects and the Worker in front, in workerd.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundle, LocalCluster } from "./local-cluster.ts";

let script: string;
beforeAll(async () => {
  script = await bundle("workers/index.ts");
});

describe("three objects", () => {
  let cluster: LocalCluster;
  beforeAll(async () => {
    cluster = await LocalCluster.start({ script });
  });
  afterAll(() => cluster.stop());

  it("elect a leader, write, and read under three policies", async () => {
    expect((await cluster.put("greeting", "hello")).status).toBe(200);
    for (const consistency of ["linearizable", "lease"]) {
      expect(await cluster.get("greeting", `?consistency=${consistency}`)).toBe("hello");
    }
    // Any replica may answer this one, also one that has not heard of the write yet.
    await expect.poll(() => cluster.get("greeting", "?consistency=eventual")).toBe("hello");
  });

  it("speak etcd's API", async () => {
    const body = JSON.stringify({ key: btoa("k"), value: btoa("v") });
    const put = await cluster.fetch("/v3/kv/put", { method: "POST", body });
    expect(await put.json()).toMatchObject({ header: { raft_term: expect.any(String) } });
    const range = await cluster.fetch("/v3/kv/range", { method: "POST", body: `{"key":"${btoa("k")}"}` });
    expect(await range.json()).toMatchObject({ kvs: [{ key: btoa("k"), value: btoa("v"), version: "1" }] });
    const list = await cluster.fetch("/v3/cluster/member/list", { method: "POST", body: "{}" });
    const { members } = (await list.json()) as { members: { name: string }[] };
    expect(members.map(({ name }) => name).sort()).toEqual(["n1", "n2", "n3"]);
  });
});
