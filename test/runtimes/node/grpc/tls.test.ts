import { Client, credentials } from "@grpc/grpc-js";
import { get } from "node:https";
import { text } from "node:stream/consumers";
import { expect, it, onTestFinished } from "vitest";
import { grpcCalls } from "../../../../src/runtimes/node/grpc/calls.ts";
import { GRPC_DEFAULTS } from "../../../../src/runtimes/node/grpc/settings.ts";
import { Listener } from "../../../../src/runtimes/node/listener.ts";
import { Certificates } from "../../../../src/runtimes/node/tls/certificates.ts";
import { memoryEngine } from "../../http/memory-engine.ts";
import { Authority, tlsConfig } from "../certificates.ts";
import { freePorts } from "../free-ports.ts";
import { definition } from "./definitions.ts";

it("speaks gRPC under TLS to those who ask for it by ALPN, and HTTP/1.1 to the others", async () => {
  const authority = await Authority.create("test authority");
  const config = tlsConfig({ ...(await authority.issue("member")), ca: null });
  const tls = new Certificates({ config, of: "clients", logger: { log: () => undefined } });
  onTestFinished(() => tls.stop());
  const [port = 0] = await freePorts(1);
  const listener = await Listener.open({
    url: `https://127.0.0.1:${port}`,
    tls,
    handle: (_request, response) => response.end("http/1.1"),
    grpc: {
      handle: grpcCalls({
        engine: memoryEngine(),
        auth: { allowInsecure: true },
        logger: { log: () => undefined },
        maxMessageBytes: 1 << 20,
      }),
      settings: GRPC_DEFAULTS,
    },
  });
  onTestFinished(() => listener.close(0));
  const client = new Client(`localhost:${port}`, credentials.createSsl(Buffer.from(authority.cert)));
  const { path, requestSerialize, responseDeserialize } = definition("KV/Put");
  const request = { key: Buffer.from("k"), value: Buffer.alloc(300_000) };
  const reply = await new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, answer) =>
      error === null ? resolve(answer) : reject(error),
    );
  });
  expect(reply).toMatchObject({ header: { revision: "2" } });
  client.close();
  const answer = await new Promise<string>((resolve, reject) => {
    get(`https://127.0.0.1:${port}/`, { ca: authority.cert }, (response) => {
      void text(response).then(resolve, reject);
    }).on("error", reject);
  });
  expect(answer).toBe("http/1.1");
});
