import { createPrivateKey } from "node:crypto";
import { mkdir, readFile, rename, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { Certificates } from "../../../../src/runtimes/node/tls/certificates.ts";
import {
  Authority,
  type Certificate,
  type CertificateFiles,
  tlsConfig,
  writeCertificates,
} from "../certificates.ts";
import { removeTempDirs, tempDir } from "../temp-dirs.ts";

let authority: Authority;
let first: Certificate;
let second: Certificate;

beforeAll(async () => {
  authority = await Authority.create("authority");
  [first, second] = await Promise.all([authority.issue("first"), authority.issue("second")]);
});

afterEach(removeTempDirs);

interface Site {
  readonly certificates: Certificates;
  readonly files: CertificateFiles;
  readonly log: { readonly level: string; readonly message: string; readonly problem?: unknown }[];
  readonly changes: string[];
  /** Two looks: the one that sees a change, and the one that sees it settled. */
  readonly look: () => Promise<void>;
}

async function site(dir?: string): Promise<Site> {
  const files = writeCertificates(dir ?? (await tempDir()), first, authority.cert);
  return open(files);
}

function open(files: CertificateFiles): Site {
  const log: Site["log"] = [];
  const changes: string[] = [];
  const certificates = new Certificates({
    config: tlsConfig({ ...first, ca: authority.cert }, { files }),
    of: "clients",
    logger: { log: (level, message, fields) => log.push({ level, message, ...fields }) },
    // Looks are the tests' to make.
    lookEveryMs: 1 << 30,
  });
  onTestFinished(() => certificates.stop());
  certificates.onChange(({ cert }) => changes.push(cert.toString()));
  const look = async (): Promise<void> => {
    await certificates.look();
    await certificates.look();
  };
  return { certificates, files, log, changes, look };
}

const shown = ({ certificates }: Site): string => certificates.current.cert.toString();

describe("Certificates", () => {
  it("says nothing while nothing changes", async () => {
    const each = await site();
    await each.look();
    // The same again, as a tool does that renews what need not be.
    await writeFile(each.files.cert, first.cert);
    await each.look();
    expect([each.log, each.changes]).toEqual([[], []]);
  });

  it("takes a pair that was replaced, once it does not change any more", async () => {
    const each = await site();
    await each.look();
    await writeFile(each.files.cert, second.cert);
    await each.certificates.look();
    await writeFile(each.files.key, second.key);
    await each.certificates.look();
    expect(shown(each)).toBe(first.cert);
    await each.certificates.look();
    expect(shown(each)).toBe(second.cert);
    expect(each.changes).toEqual([second.cert]);
    expect(each.log).toMatchObject([{ level: "info", of: "clients", subject: "CN=second" }]);
  });

  it("refuses half of a pair, says so once, and takes it when it is whole", async () => {
    const each = await site();
    await writeFile(each.files.cert, second.cert);
    await each.look();
    await each.look();
    expect(shown(each)).toBe(first.cert);
    expect(each.log).toMatchObject([
      { level: "error", problem: expect.stringMatching(/key values mismatch/) },
    ]);
    await writeFile(each.files.key, second.key);
    await each.look();
    expect(each.changes).toEqual([second.cert]);
  });

  it("takes the authorities that were replaced, for a bundle too", async () => {
    const each = await site();
    const other = await Authority.create("another authority");
    await writeFile(each.files.ca, authority.cert + other.cert);
    await each.look();
    expect(each.certificates.current.ca?.toString()).toBe(authority.cert + other.cert);
  });

  it.each<[string, (site: Site) => Promise<void>, RegExp]>([
    [
      "a bundle that breaks off",
      ({ files }) => writeFile(files.ca, authority.cert + authority.cert.slice(0, 300)),
      /a certificate in the authorities' file is not whole/,
    ],
    [
      "a bundle whose parts share a line, of which OpenSSL would read nothing and say nothing",
      ({ files }) => writeFile(files.ca, authority.cert.trim() + authority.cert),
      /not on lines of its own/,
    ],
    ["an empty bundle", ({ files }) => writeFile(files.ca, ""), /no certificate in the authorities' file/],
    [
      "an empty certificate",
      ({ files }) => writeFile(files.cert, ""),
      /no certificate in the certificate file/,
    ],
    [
      "a certificate that is none",
      ({ files }) => writeFile(files.cert, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
      /asn1|encoding|PEM/i,
    ],
    [
      "a key with a passphrase",
      ({ files }) => {
        const format = { type: "pkcs8", format: "pem", cipher: "aes-128-cbc", passphrase: "x" } as const;
        return writeFile(files.key, createPrivateKey(first.key).export(format));
      },
      /the key has a passphrase/,
    ],
    ["half a key", ({ files }) => writeFile(files.key, first.key.slice(0, 60)), /DECODER|PEM|unsupported/i],
    ["a missing file", ({ files }) => unlink(files.key), /ENOENT/],
    [
      "a directory",
      async ({ files }) => {
        await unlink(files.ca);
        await mkdir(files.ca);
      },
      /is no file/,
    ],
    ["a huge file", ({ files }) => writeFile(files.ca, Buffer.alloc((1 << 20) + 1)), /of up to 1 MiB/],
    [
      "one that has expired",
      async ({ files }) => {
        const { cert, key } = await authority.issue("late", -1);
        await Promise.all([writeFile(files.cert, cert), writeFile(files.key, key)]);
      },
      /has expired at/,
    ],
  ])("refuses %s with the reason, and keeps the old ones", async (_name, spoil, problem) => {
    const each = await site();
    const before = each.certificates.current;
    await spoil(each);
    await each.look();
    await each.look();
    expect(each.certificates.current).toBe(before);
    expect(each.changes).toEqual([]);
    expect(each.log).toMatchObject([{ level: "error", problem: expect.stringMatching(problem) }]);
    // And what is mended is taken.
    await rm(each.files.ca, { recursive: true, force: true });
    const { cert, key } = second;
    writeCertificates(join(each.files.cert, ".."), { cert, key }, authority.cert);
    await each.look();
    expect(shown(each)).toBe(second.cert);
  });

  it("takes what is from tomorrow on when tomorrow comes, by a clock that is behind", async () => {
    const each = await site();
    const clock = vi.spyOn(Date, "now").mockReturnValue(Date.now() - 5 * 24 * 3_600_000);
    onTestFinished(() => clock.mockRestore());
    writeCertificates(join(each.files.cert, ".."), second, authority.cert);
    await each.look();
    await each.look();
    expect(shown(each)).toBe(first.cert);
    expect(each.log).toMatchObject([{ problem: expect.stringMatching(/is not valid before/) }]);
    clock.mockRestore();
    await each.certificates.look();
    expect(shown(each)).toBe(second.cert);
  });

  it("follows symbolic links whose target is exchanged, as Kubernetes does", async () => {
    const dir = await tempDir();
    await Promise.all(["a", "b"].map((name) => mkdir(join(dir, name))));
    writeCertificates(join(dir, "a"), first, authority.cert);
    writeCertificates(join(dir, "b"), second, authority.cert);
    await symlink(join(dir, "a"), join(dir, "now"));
    const now = (name: string): string => join(dir, "now", name);
    const each = open({ cert: now("cert.pem"), key: now("key.pem"), ca: now("ca.pem") });
    await each.look();
    await symlink(join(dir, "b"), join(dir, "next"));
    await rename(join(dir, "next"), join(dir, "now"));
    expect((await readFile(now("cert.pem"))).toString()).toBe(second.cert);
    await each.look();
    expect(shown(each)).toBe(second.cert);
  });

  it("refuses to begin with what cannot be used", () => {
    const logger = { log: () => undefined };
    const begin = (ca: string) => () =>
      new Certificates({ config: tlsConfig({ ...first, ca }), of: "peers", logger });
    expect(begin("")).toThrow(/no certificate in the authorities' file/);
    expect(begin(authority.cert.slice(0, 100))).toThrow(expect.objectContaining({ code: "invalidConfig" }));
  });
});
