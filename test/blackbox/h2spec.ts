// h2spec, the conformance tests of HTTP/2, against the server: as they are, over TCP and TLS, and with their requests made
// calls of gRPC. Every case passes in one of the two ways, or is listed here with the reason why it cannot.
//
//   node test/blackbox/h2spec.ts --h2spec=PROGRAM --h2spec-grpc=PROGRAM

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { freePorts } from "../runtimes/node/free-ports.ts";
import { Authority, writeCertificates } from "../runtimes/node/certificates.ts";
import { execute } from "./support/command.ts";
import { workDir } from "./support/cluster.ts";
import { program, type Run } from "./support/program.ts";
import { Server } from "./support/server.ts";

/** h2spec asks for a page. Who asks for a call, and does not say what, gets no data; with a message these pass. */
const NO_DATA = "needs data in answer to a request without a body";
/** What is no call is answered and ended before the rest of it is looked at; as calls they pass. */
const NO_CALL = "judged as a call";
const NO_PRIORITIES = "RFC 9113 has taken priorities back";
const HTTP1 = "the port speaks HTTP/1.1 as well, and answers in it";

const CANNOT: readonly (readonly [name: string, reason: string])[] = [
  ["generic/2 Sends a WINDOW_UPDATE frame on half-closed (remote) stream", NO_DATA],
  ["generic/2 Sends a PRIORITY frame on half-closed (remote) stream", NO_DATA],
  ["http2/6.5.3 Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE", NO_DATA],
  ["http2/6.9.1 Sends SETTINGS frame to set the initial window size to 1 and sends HEADERS frame", NO_DATA],
  ["http2/6.9.2 Changes SETTINGS_INITIAL_WINDOW_SIZE after sending HEADERS frame", NO_DATA],
  ["http2/6.9.2 Sends a SETTINGS frame for window size to be negative", NO_DATA],
  ["http2/5.3.1 Sends HEADERS frame that depend on itself", NO_PRIORITIES],
  ["http2/5.3.1 Sends PRIORITY frame that depend on itself", NO_PRIORITIES],
  [
    "http2/5.1.2 Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded",
    NO_CALL,
  ],
  ["http2/6.9 Sends a WINDOW_UPDATE frame with a flow control window increment of 0 on a stream", NO_CALL],
  [
    "http2/6.9.1 Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream",
    NO_CALL,
  ],
  ["http2/8.1 Sends a second HEADERS frame without the END_STREAM flag", NO_CALL],
  ["http2/8.1.2.1 Sends a HEADERS frame that contains a pseudo-header field as trailers", NO_CALL],
  [
    'http2/8.1.2.6 Sends a HEADERS frame with the "content-length" header field which does not equal the DATA frame payload length',
    NO_CALL,
  ],
  [
    'http2/8.1.2.6 Sends a HEADERS frame with the "content-length" header field which does not equal the sum of the multiple DATA frames payload length',
    NO_CALL,
  ],
];
/** An empty message is enough for it, and it is answered with some bytes. */
const STATUS = "--path=/etcdserverpb.Maintenance/Status";
const INVALID_PREFACE = "http2/3.5 Sends invalid connection preface";
/** By number: those that are judged as calls. */
const AS_CALLS = [
  "http2/5.1.2",
  "http2/6.9/2",
  "http2/6.9.1/3",
  "http2/8.1/1",
  "http2/8.1.2.1/3",
  "http2/8.1.2.6",
];
/** By number: those that are about data, and all beside them. */
const WITH_MESSAGES = ["generic/2", "http2/6.5.3", "http2/6.9.1/1", "http2/6.9.2"];

await program("h2spec", 250, async (run) => {
  const [h2spec, h2specGrpc] = [run.option("h2spec"), run.option("h2spec-grpc")];
  if (h2spec === undefined || h2specGrpc === undefined) throw new Error("--h2spec= and --h2spec-grpc=");
  const dir = await workDir(run);
  const authority = await Authority.create("h2spec");
  const { cert, key } = writeCertificates(dir, await authority.issue("server"), authority.cert);
  const [plain = 0, tls = 0, peer = 0] = await freePorts(3);
  const server = new Server(dir, "n1", `http://127.0.0.1:${plain}`, {
    "data-dir": join(dir, "n1"),
    "listen-client-urls": `http://127.0.0.1:${plain},https://127.0.0.1:${tls}`,
    "listen-peer-urls": `http://127.0.0.1:${peer}`,
    "cert-file": cert,
    "key-file": key,
  });
  run.cleanUp(() => server.signal("SIGKILL"));
  await server.start();
  const cannot = new Map(CANNOT);

  const report = join(dir, "report.xml");
  const options = ["--strict", "--timeout=2", `--junit-report=${report}`];
  // All of these pass, and so none waits for nothing.
  const asCalls = ["--strict", "--timeout=15", `--junit-report=${report}`, `--port=${plain}`];
  await execute(h2spec, [...options, `--port=${plain}`], { timeoutMs: 100_000 });
  await require(run, "TCP", report, 140, new Map([...cannot, [INVALID_PREFACE, HTTP1]]));
  await execute(h2spec, [...options, `--port=${tls}`, "--tls", "--insecure"], { timeoutMs: 100_000 });
  await require(run, "TLS", report, 140, cannot);
  const path = "--path=/etcdserverpb.Watch/Watch";
  await execute(h2specGrpc, [...AS_CALLS, ...asCalls, path], { timeoutMs: 60_000 });
  await require(run, "calls", report, 7, new Map());
  await execute(h2specGrpc, [...WITH_MESSAGES, ...asCalls, STATUS], {
    timeoutMs: 60_000,
    env: { H2SPEC_MESSAGE: "1" },
  });
  await require(run, "calls with messages", report, 11, new Map());
});

/** Requires of the report that just the cases that cannot pass did not. */
async function require(
  run: Run,
  over: string,
  report: string,
  atLeast: number,
  cannot: ReadonlyMap<string, string>,
): Promise<void> {
  const xml = await readFile(report, "utf8");
  const cases = [
    ...xml.matchAll(/<testcase package="([^"]*)" classname="([^"]*)"[^>]*>([^]*?)<\/testcase>/g),
  ];
  run.require(cases.length >= atLeast, `${over}: ${cases.length} cases`);
  const named = cases.map(([, package_ = "", title = "", said = ""]) => ({
    name: `${package_} ${title.replaceAll("&#34;", '"')}`,
    said,
  }));
  for (const { name, said } of named)
    if (said !== "" && !cannot.has(name)) run.observe(`${name}: ${said.trim()}`);
  const failed = named.filter(({ said }) => said !== "").map(({ name }) => name);
  for (const name of failed.filter((each) => cannot.has(each)))
    run.observe(`not: ${name} (${cannot.get(name)})`);
  const unexpected = failed.filter((name) => !cannot.has(name));
  run.require(unexpected.length === 0, `${over}: ${cases.length - failed.length} pass, and all that can`);
  const passed = [...cannot.keys()].filter((name) => !failed.includes(name));
  run.require(passed.length === 0, `${over}: nothing is excused that passes: [${passed.join(", ")}]`);
}
