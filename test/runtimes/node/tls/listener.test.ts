import { writeFile } from "node:fs/promises";
import { get } from "node:https";
import { connect as connectSocket, type Socket } from "node:net";
import { once } from "node:events";
import { buffer, text } from "node:stream/consumers";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Clock } from "../../../../src/core/node/index.ts";
import type { TlsConfig } from "../../../../src/runtimes/node/config/server-config.ts";
import { GRPC_DEFAULTS } from "../../../../src/runtimes/node/grpc/settings.ts";
import { Listener } from "../../../../src/runtimes/node/listener.ts";
import { Certificates } from "../../../../src/runtimes/node/tls/certificates.ts";
import {
  Authority,
  type Certificate,
  type CertificateFiles,
  tlsConfig,
  writeCertificates,
} from "../certificates.ts";
import { HandClock } from "../../../core/node/watch/hub-fixture.ts";
import { freePorts } from "../free-ports.ts";
import { removeTempDirs, tempDir } from "../temp-dirs.ts";

/** How a handshake ends that the other side broke off; which of these, depends on who was quicker. */
const REFUSED = /alert|ECONNRESET|EPIPE|hang up|disconnected|EPROTO/;

let [ours, theirs]: Authority[] = [];
let server: Certificate;
let client: Certificate;

beforeAll(async () => {
  [ours, theirs] = await Promise.all([Authority.create("ours"), Authority.create("theirs")]);
  [server, client] = await Promise.all([ours.issue("server"), ours.issue("client")]);
});

afterEach(removeTempDirs);

interface Site {
  readonly port: number;
  readonly listener: Listener;
  readonly files: CertificateFiles;
  readonly reload: () => Promise<void>;
}

/** A listener that demands certificates of our authority, and answers with "hello". */
async function site(settings: Partial<TlsConfig> = {}, clock?: Clock): Promise<Site> {
  const [port = 0] = await freePorts(1);
  const files = writeCertificates(await tempDir(), server, ours!.cert);
  const certificates = new Certificates({
    config: tlsConfig({ ...server, ca: ours!.cert }, { files, ...settings }),
    of: "clients",
    logger: { log: () => undefined },
    lookEveryMs: 1 << 30,
  });
  const listener = await Listener.open({
    url: `https://127.0.0.1:${port}`,
    tls: certificates,
    handle: (_request, response) => response.end("hello"),
    grpc: { handle: () => undefined, settings: GRPC_DEFAULTS },
    ...(clock === undefined ? {} : { clock }),
  });
  onTestFinished(async () => {
    certificates.stop();
    await listener.close(0);
  });
  const reload = async (): Promise<void> => {
    await certificates.look();
    await certificates.look();
  };
  return { port, listener, files, reload };
}

function hello(port: number, as: Partial<Certificate>, ca: string = ours!.cert): Promise<string> {
  return new Promise((resolve, reject) => {
    const url = `https://127.0.0.1:${port}`;
    const sent = get(url, { agent: false, ca, ...as }, (response) => {
      text(response).then(resolve, reject);
    });
    sent.on("error", reject);
  });
}

/** A connection over which nothing has been asked. */
function secure(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, ca: ours!.cert, ...client, ...options }, () =>
      resolve(socket),
    );
    socket.on("error", reject);
    onTestFinished(() => void socket.destroy());
  });
}

async function plain(port: number): Promise<Socket> {
  const socket = connectSocket(port, "127.0.0.1");
  socket.on("error", () => undefined);
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  return socket;
}

describe("a listener with TLS", () => {
  it("refuses who has no certificate, that of another authority, or one that has expired", async () => {
    const { port } = await site();
    expect(await hello(port, client)).toBe("hello");
    await expect(hello(port, {})).rejects.toThrow(REFUSED);
    await expect(hello(port, await theirs!.issue("client"))).rejects.toThrow(REFUSED);
    await expect(hello(port, await ours!.issue("client", -1))).rejects.toThrow(REFUSED);
    // Signed by somebody who may not sign.
    const liar = await ours!.issue("ours");
    const { cert, key } = await Authority.pretend(liar).issue("client");
    await expect(hello(port, { cert: cert + liar.cert, key })).rejects.toThrow(REFUSED);
  });

  it("speaks HTTP/1.1 with who offers it, HTTP/2 with who offers nothing else, and nothing below TLS 1.2", async () => {
    const { port } = await site();
    const spoken = async (ALPNProtocols: string[]): Promise<string | false | null> =>
      (await secure(port, { ALPNProtocols })).alpnProtocol;
    expect(await spoken(["h2"])).toBe("h2");
    expect(await spoken(["h2", "http/1.1"])).toBe("http/1.1");
    expect(await spoken(["http/1.1"])).toBe("http/1.1");
    await expect(spoken(["spdy/3"])).rejects.toThrow(/no application protocol/);
    const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
    await expect(secure(port, old)).rejects.toThrow(/protocol version|unsupported protocol/);
    expect((await secure(port, { maxVersion: "TLSv1.2" })).getProtocol()).toBe("TLSv1.2");
    const strict = await site({ minVersion: "TLSv1.3" });
    const refused = async (): Promise<void> => {
      await expect(secure(strict.port, { maxVersion: "TLSv1.2" })).rejects.toThrow(/protocol version/);
    };
    await refused();
    await writeFile(strict.files.ca, ours!.cert + theirs!.cert);
    await strict.reload();
    expect(await hello(strict.port, await theirs!.issue("client"))).toBe("hello");
    await refused();
  });

  it("lets in only the one name when it is told one", async () => {
    const { port } = await site({ allowedCn: "member" });
    await expect(hello(port, client)).rejects.toThrow(REFUSED);
    expect(await hello(port, await ours!.issue("member"))).toBe("hello");
  });

  it("shows and trusts what its files have now, and serves on whom it has let in", async () => {
    const { port, files, reload } = await site();
    const kept = await secure(port, { ALPNProtocols: ["http/1.1"] });
    const [newServer, newClient] = await Promise.all([theirs!.issue("server"), theirs!.issue("client")]);
    await Promise.all([
      writeFile(files.cert, newServer.cert),
      writeFile(files.key, newServer.key),
      writeFile(files.ca, theirs!.cert),
    ]);
    await reload();
    expect(await hello(port, newClient, theirs!.cert)).toBe("hello");
    await expect(hello(port, newClient)).rejects.toThrow(/certificate/);
    await expect(hello(port, client, theirs!.cert)).rejects.toThrow(REFUSED);
    kept.end("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    expect(await text(kept)).toMatch(/hello/);
  });

  it.each(["TLSv1.2", "TLSv1.3"] as const)(
    "forgets sessions of %s with the authority",
    async (maxVersion) => {
      const { port, files, reload } = await site();
      const sessionOf = async (): Promise<Buffer> => {
        const socket = connect({ host: "127.0.0.1", port, ca: ours!.cert, ...client, maxVersion });
        const [session] = (await once(socket, "session")) as [Buffer];
        socket.end();
        return session;
      };
      const session = await sessionOf();
      const again = await secure(port, { maxVersion, session, ALPNProtocols: ["http/1.1"] });
      expect(again.isSessionReused()).toBe(true);
      await writeFile(files.ca, theirs!.cert);
      await reload();
      // A resumed session would not show its certificate again. With TLS 1.3 the refusal comes after the handshake.
      const resumed = secure(port, { maxVersion, session, ALPNProtocols: ["http/1.1"] }).then(
        async (socket) => {
          socket.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
          const said = await text(socket);
          if (said === "") throw new Error("hang up");
        },
      );
      await expect(resumed).rejects.toThrow(REFUSED);
    },
  );
});

describe("a listener with TLS, and hostile connections", () => {
  it("hangs up on who does not speak TLS, and serves the others", async () => {
    const { port } = await site();
    for (const said of [
      "GET / HTTP/1.1\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "\x16\x03\x01\xff\xff",
      "\0",
    ]) {
      const socket = await plain(port);
      socket.end(said, "latin1");
      expect((await buffer(socket)).length).toBeLessThan(100);
    }
    expect(await hello(port, client)).toBe("hello");
  });

  it("keeps a bounded number of handshakes, drops the oldest, and serves who ends one", async () => {
    const { port, listener } = await site();
    const kept = await secure(port, {});
    const sockets: Socket[] = [];
    for (let i = 0; i < 12; i++) {
      sockets.push(...(await Promise.all(Array.from({ length: 100 }, () => plain(port)))));
    }
    // The first half of a handshake, from all of them.
    for (const socket of sockets) if (!socket.destroyed) socket.write("\x16\x03\x01\x00\xf4\x01", "latin1");
    expect(await hello(port, client)).toBe("hello");
    const open = (): number => sockets.filter((socket) => !socket.destroyed).length;
    await expect.poll(open).toBeLessThanOrEqual(1000);
    expect(open()).toBeGreaterThan(900);
    expect(kept.destroyed).toBe(false);
    // Nor does anybody wait for them in the end.
    await listener.close(0);
    await expect.poll(open).toBe(0);
  });

  it("gives handshakes up that take ten seconds, and none that is done", async () => {
    const clock = new HandClock();
    const { port } = await site({}, clock);
    const kept = await secure(port, client);
    const [silent, halfway] = [await plain(port), await plain(port)];
    halfway.write("\x16\x03\x01\x00\xf4\x01", "latin1");
    await expect.poll(() => clock.pending).toBe(2);
    clock.advance(9999);
    expect(await hello(port, client)).toBe("hello");
    expect([silent.destroyed, halfway.destroyed]).toEqual([false, false]);
    clock.advance(1);
    await expect.poll(() => silent.destroyed && halfway.destroyed).toBe(true);
    expect(kept.destroyed).toBe(false);
    expect(clock.pending).toBe(0);
  });

  it("says over plaintext to who speaks TLS that it does not", async () => {
    const [port = 0] = await freePorts(1);
    const listener = await Listener.open({
      url: `http://127.0.0.1:${port}`,
      tls: null,
      handle: (_request, response) => response.end("hello"),
      grpc: { handle: () => undefined, settings: GRPC_DEFAULTS },
    });
    onTestFinished(() => listener.close(0));
    await expect(secure(port, {})).rejects.toThrow(/wrong version number|packet length|EPROTO/);
    expect(await (await fetch(listener.url)).text()).toBe("hello");
  });
});
