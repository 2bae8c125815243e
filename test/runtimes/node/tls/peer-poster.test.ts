import { once } from "node:events";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { type PeerClientTls, PeerPoster } from "../../../../src/runtimes/node/peers/peer-poster.ts";
import { Authority, type Certificate } from "../certificates.ts";

let [old, now]: Authority[] = [];
let oldMember: Certificate;
let newMember: Certificate;

beforeAll(async () => {
  [old, now] = await Promise.all([Authority.create("old"), Authority.create("new")]);
  [oldMember, newMember] = await Promise.all([old.issue("member"), now.issue("member")]);
});

/** A member that counts connections, and demands a certificate. */
async function member(): Promise<{
  server: Server;
  url: string;
  connections: () => number;
  answer: () => void;
}> {
  let connections = 0;
  let answer = (): void => undefined;
  const options = { ...oldMember, ca: old!.cert, requestCert: true, rejectUnauthorized: true };
  const server = createServer(options, (request, response) => {
    request.resume();
    const reply = (): void => void response.writeHead(204).end();
    if (request.headers["content-length"] === "4") answer = reply;
    else reply();
  });
  server.on("secureConnection", () => connections++);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { server, url, connections: () => connections, answer: () => answer() };
}

function poster(tls: PeerClientTls): PeerPoster {
  const made = new PeerPoster({ tls, idleTimeoutMs: 5000, totalTimeoutMs: 5000, maxReplyBytes: 100 });
  onTestFinished(() => made.close());
  return made;
}

function shown({ cert, key }: Certificate, ca: string): PeerClientTls {
  return { cert: Buffer.from(cert), key: Buffer.from(key), ca: Buffer.from(ca) };
}

const SHORT = new Uint8Array(3);
/** Answered when the test says so. */
const SLOW = new Uint8Array(4);

describe("PeerPoster over TLS", () => {
  it("shows and trusts something else on new connections once it is told, and ends what it had begun", async () => {
    const { server, url, connections, answer } = await member();
    const members = poster(shown(oldMember, old!.cert));
    const slow = members.post(url, SLOW);
    await expect.poll(connections).toBe(1);
    expect((await members.post(url, SHORT)).status).toBe(204);
    expect(connections()).toBe(2);
    server.setSecureContext({ ...newMember, ca: now!.cert });
    // A connection that is kept goes on.
    expect((await members.post(url, SHORT)).status).toBe(204);
    expect(connections()).toBe(2);
    members.setTls(shown(newMember, now!.cert));
    expect((await members.post(url, SHORT)).status).toBe(204);
    expect(connections()).toBe(3);
    answer();
    members.setTls(shown(oldMember, old!.cert));
    await expect(members.post(url, SHORT)).rejects.toThrow(/certificate|signature/);
    expect((await slow).status).toBe(204);
  });

  it("refuses a member whose certificate has another common name than it must", async () => {
    const { url } = await member();
    const tls = shown(oldMember, old!.cert);
    expect((await poster({ ...tls, allowedCn: "member" }).post(url, SHORT)).status).toBe(204);
    await expect(poster({ ...tls, allowedCn: "voter" }).post(url, SHORT)).rejects.toThrow(
      'the certificate\'s common name is "member", not "voter"',
    );
    await expect(poster({ ...tls, minVersion: "TLSv1.3" }).post(url, SHORT)).resolves.toMatchObject({
      status: 204,
    });
  });
});
