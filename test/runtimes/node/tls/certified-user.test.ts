import { credentials } from "@grpc/grpc-js";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import { afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { EmbeddedEngine, type EmbeddedOptions } from "../../../../src/runtimes/node/index.ts";
import { Authority, type Certificate, writeCertificates } from "../certificates.ts";
import { freePorts } from "../free-ports.ts";
import { bytes, GrpcClient, refusal } from "../grpc/site.ts";
import { removeTempDirs, tempDir } from "../temp-dirs.ts";

const QUICK = { logger: { log: () => undefined }, env: {}, heartbeatInterval: 50, electionTimeout: 300 };
const MEMBERS = ["root", "alice", "nobody", "server"] as const;

let authority: Authority;
let certificates: Record<(typeof MEMBERS)[number], Certificate>;

beforeAll(async () => {
  authority = await Authority.create("authority of clients");
  const issued = await Promise.all(MEMBERS.map(async (name) => [name, await authority.issue(name)]));
  certificates = Object.fromEntries(issued) as typeof certificates;
});

afterEach(removeTempDirs);

interface Site {
  readonly url: string;
  readonly post: (as: Certificate, path: string, body: object, token?: string) => Promise<[number, Reply]>;
  readonly grpc: (as: Certificate) => GrpcClient;
}

// oxlint-disable-next-line typescript/no-explicit-any
type Reply = any;

/** One member with users: root, and alice, who may read and write a. */
async function site(options: EmbeddedOptions = { clientCertAuth: true }): Promise<Site> {
  const [port = 0] = await freePorts(1);
  const dir = await tempDir();
  const { cert, key, ca } = writeCertificates(dir, certificates.server, authority.cert);
  const url = `https://localhost:${port}`;
  const engine = await EmbeddedEngine.start(`${dir}/data`, {
    ...QUICK,
    listenClientUrls: url,
    certFile: cert,
    keyFile: key,
    trustedCaFile: ca,
    ...options,
  });
  onTestFinished(() => engine.stop());
  await engine.waitReady(30_000);
  const post: Site["post"] = (as, path, body, token) => send(url + path, as, JSON.stringify(body), token);
  for (const [path, body] of SETUP)
    expect(await post(certificates.root, path, body)).toMatchObject([200, {}]);
  const grpc = (as: Certificate): GrpcClient => {
    const [ca_, key_, cert_] = [authority.cert, as.key, as.cert].map((pem) => Buffer.from(pem));
    return new GrpcClient(`localhost:${port}`, credentials.createSsl(ca_, key_, cert_));
  };
  return { url, post, grpc };
}

const SETUP: readonly (readonly [string, object])[] = [
  ["/v3/auth/user/add", { name: "root", password: "secret of root" }],
  ["/v3/auth/role/add", { name: "root" }],
  ["/v3/auth/user/grant", { user: "root", role: "root" }],
  ["/v3/auth/user/add", { name: "alice", options: { no_password: true } }],
  ["/v3/auth/role/add", { name: "a" }],
  [
    "/v3/auth/role/grant",
    { name: "a", perm: { permType: "READWRITE", key: base64("a"), range_end: base64("b") } },
  ],
  ["/v3/auth/user/grant", { user: "alice", role: "a" }],
  ["/v3/auth/enable", {}],
];

function base64(said: string): string {
  return Buffer.from(said).toString("base64");
}

function send(url: string, as: Certificate, body: string, token?: string): Promise<[number, Reply]> {
  return new Promise((resolve, reject) => {
    const headers = {
      "content-type": "application/json",
      ...(token === undefined ? {} : { authorization: token }),
    };
    const sent = request(url, { method: "POST", ca: authority.cert, ...as, headers }, (response) => {
      text(response).then((said) => resolve([response.statusCode ?? 0, JSON.parse(said)]), reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** Opens a WebSocket, says something short, and gives the answer: one frame, unless it is long. */
function firstMessage(url: string, as: Certificate, said: string): Promise<string> {
  const upgrade = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
  };
  return new Promise((resolve, reject) => {
    const sent = request(`${url}/v3/watch`, { ca: authority.cert, ...as, headers: upgrade });
    sent.on("error", reject);
    sent.on("upgrade", (_response, socket, head) => {
      onTestFinished(() => void socket.destroy());
      const took = (chunk: Buffer): void => {
        if (chunk.length > 0) resolve(chunk.subarray(chunk[1] === 126 ? 4 : 2).toString());
      };
      took(head);
      socket.on("data", took);
      // A text of one frame; a mask of zeroes changes nothing (RFC 6455, section 5).
      socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | said.length, 0, 0, 0, 0]), Buffer.from(said)]));
    });
    sent.end();
  });
}

const put = (key: string): object => ({ key: base64(key), value: base64("v") });

describe("a client's certificate", () => {
  it("says over JSON who asks", async () => {
    const { post } = await site();
    const { alice, nobody, root } = certificates;
    expect(await post(alice, "/v3/kv/put", put("a1"))).toMatchObject([200, {}]);
    expect(await post(alice, "/v3/kv/put", put("b"))).toMatchObject([403, { code: 7 }]);
    expect(await post(alice, "/v3/auth/user/list", {})).toMatchObject([403, { code: 7 }]);
    expect(await post(root, "/v3/auth/user/list", {})).toMatchObject([200, { users: ["alice", "root"] }]);
    expect(await post(nobody, "/v3/kv/put", put("a1"))).toMatchObject([403, { code: 7 }]);
  });

  it("says over gRPC who asks, for streams as well", async () => {
    const { grpc } = await site();
    const alice = grpc(certificates.alice);
    await alice.call("KV/Put", { key: bytes("a1"), value: bytes("v") });
    expect(await refusal(alice.call("KV/Put", { key: bytes("b"), value: bytes("v") }))).toMatchObject({
      code: 7,
    });
    const nobody = grpc(certificates.nobody);
    expect(await refusal(nobody.call("KV/Put", { key: bytes("a1"), value: bytes("v") }))).toMatchObject({
      code: 7,
    });
    const watch = alice.stream("Watch/Watch");
    watch.write({ create_request: { key: bytes("a1"), start_revision: 1 } });
    expect(await watch.next()).toMatchObject({ created: true });
    expect((await watch.next()).events).toHaveLength(1);
    watch.write({ create_request: { key: bytes("b") } });
    expect(await watch.next()).toMatchObject({
      canceled: true,
      cancel_reason: expect.stringMatching(/permission denied/),
    });
    watch.end();
  });

  it("says over a WebSocket who asks", async () => {
    const { url } = await site();
    const { alice, nobody } = certificates;
    const watch = JSON.stringify({ create_request: { key: base64("a1") } });
    expect(await firstMessage(url, alice, watch)).toMatch(/^{"result":.*"created":true/);
    expect(await firstMessage(url, nobody, watch)).toMatch(/permission denied/);
  });

  it("gives way to a token", async () => {
    const { post } = await site();
    const { alice } = certificates;
    const [, { token }] = await post(alice, "/v3/auth/authenticate", {
      name: "root",
      password: "secret of root",
    });
    expect(await post(alice, "/v3/kv/put", put("b"), token)).toMatchObject([200, {}]);
    expect(await post(alice, "/v3/kv/put", put("a1"), "no.token")).toMatchObject([401, { code: 16 }]);
  });

  it("is that of the user of today, of whatever rights", async () => {
    const { post } = await site();
    const { alice, root } = certificates;
    expect(await post(alice, "/v3/kv/put", put("a1"))).toMatchObject([200, {}]);
    await post(root, "/v3/auth/user/revoke", { name: "alice", role: "a" });
    expect(await post(alice, "/v3/kv/put", put("a1"))).toMatchObject([403, {}]);
    await post(root, "/v3/auth/user/delete", { name: "alice" });
    expect(await post(alice, "/v3/kv/put", put("a1"))).toMatchObject([403, {}]);
    await post(root, "/v3/auth/user/add", { name: "alice", options: { no_password: true } });
    await post(root, "/v3/auth/user/grant", { user: "alice", role: "a" });
    expect(await post(alice, "/v3/kv/put", put("a1"))).toMatchObject([200, {}]);
  });

  it("names nobody where only the authority is given, as with etcd", async () => {
    const { post } = await site({});
    expect(await post(certificates.root, "/v3/kv/put", put("a1"))).toMatchObject([
      400,
      { error: expect.stringMatching(/user name is empty/) },
    ]);
  });
});
