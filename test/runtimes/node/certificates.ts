import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

/*
 * X.509 certificates for tests, made when they run: Node makes keys but no certificates, and a committed one would
 * expire. Just enough DER (ITU-T X.690) and RFC 5280 for an authority and what it signs.
 */

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority that can sign for loopback. */
export class Authority {
  readonly #name: string;
  readonly #key: KeyObject;
  readonly cert: string;

  constructor(name: string) {
    this.#name = name;
    const { publicKey, privateKey } = newKeys();
    this.#key = privateKey;
    const isAuthority = extension("551d13", true, sequence(bool(true)));
    this.cert = certificate(name, publicKey, name, privateKey, [isAuthority]);
  }

  /** A certificate for 127.0.0.1 and localhost, for servers and clients. */
  issue(name: string): Certificate {
    const { publicKey, privateKey } = newKeys();
    const names = sequence(tagged(0x87, Buffer.from([127, 0, 0, 1])), tagged(0x82, Buffer.from("localhost")));
    const cert = certificate(name, publicKey, this.#name, this.#key, [extension("551d11", false, names)]);
    return { cert, key: privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
  }
}

function newKeys(): { publicKey: KeyObject; privateKey: KeyObject } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { publicKey, privateKey: createPrivateKey(privateKey.export({ type: "pkcs8", format: "pem" })) };
}

let serial = 1;

function certificate(
  subject: string,
  publicKey: KeyObject,
  issuer: string,
  issuerKey: KeyObject,
  extensions: readonly Buffer[],
): string {
  const ecdsaWithSha256 = sequence(oid("2a8648ce3d040302"));
  const day = 24 * 3600 * 1000;
  const body = sequence(
    tagged(0xa0, integer(2)),
    integer(serial++),
    ecdsaWithSha256,
    distinguishedName(issuer),
    sequence(utcTime(Date.now() - day), utcTime(Date.now() + day)),
    distinguishedName(subject),
    publicKey.export({ type: "spki", format: "der" }),
    tagged(0xa3, sequence(...extensions)),
  );
  const signature = tagged(0x03, Buffer.concat([Buffer.from([0]), sign("sha256", body, issuerKey)]));
  const base64 = sequence(body, ecdsaWithSha256, signature).toString("base64");
  return `-----BEGIN CERTIFICATE-----\n${base64.replaceAll(/(.{64})/g, "$1\n")}\n-----END CERTIFICATE-----\n`;
}

function tagged(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => tagged(0x30, Buffer.concat(parts));
const oid = (hex: string): Buffer => tagged(0x06, Buffer.from(hex, "hex"));
const bool = (value: boolean): Buffer => tagged(0x01, Buffer.from([value ? 0xff : 0]));
const integer = (value: number): Buffer => tagged(0x02, Buffer.from([value & 0x7f]));

function utcTime(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]/g, "").slice(2, 14);
  return tagged(0x17, Buffer.from(`${digits}Z`));
}

function distinguishedName(commonName: string): Buffer {
  const utf8 = tagged(0x0c, Buffer.from(commonName));
  return sequence(tagged(0x31, sequence(oid("550403"), utf8)));
}

function extension(id: string, critical: boolean, content: Buffer): Buffer {
  return sequence(oid(id), ...(critical ? [bool(true)] : []), tagged(0x04, content));
}
