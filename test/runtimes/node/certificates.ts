import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { generate } from "selfsigned";
import type { TlsConfig } from "../../../src/runtimes/node/config/server-config.ts";

/* X.509 certificates for tests, made when they run: a committed one would expire. */

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** Paths of PEM files. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

const DAY_MS = 24 * 3600 * 1000;
const EC = { keyType: "ec", algorithm: "sha256" } as const;

/** An authority that can sign for loopback. */
export class Authority {
  readonly #key: string;
  readonly cert: string;

  static async create(name: string): Promise<Authority> {
    const { cert, private: key } = await generate([{ name: "commonName", value: name }], {
      ...EC,
      notBeforeDate: new Date(Date.now() - 3 * DAY_MS),
      extensions: [
        { name: "basicConstraints", cA: true, critical: true },
        { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
      ],
    });
    return new Authority(`${cert}\n`, key);
  }

  /** Somebody who may not sign, and does. */
  static pretend({ cert, key }: Certificate): Authority {
    return new Authority(cert, key);
  }

  private constructor(cert: string, key: string) {
    this.cert = cert;
    this.#key = key;
  }

  /**
   * A certificate for 127.0.0.1 and localhost, for servers and clients.
   *
   * @param days until it expires; it has been valid since two days ago.
   */
  async issue(name: string, days = 1): Promise<Certificate> {
    const { cert, private: key } = await generate([{ name: "commonName", value: name }], {
      ...EC,
      notBeforeDate: new Date(Date.now() - 2 * DAY_MS),
      notAfterDate: new Date(Date.now() + days * DAY_MS),
      ca: { cert: this.cert, key: this.#key },
      extensions: [
        {
          name: "subjectAltName",
          altNames: [
            { type: 7, ip: "127.0.0.1" },
            { type: 2, value: "localhost" },
          ],
        },
      ],
    });
    return { cert: `${cert}\n`, key };
  }
}

/** Writes what one side shows and trusts. */
export function writeCertificates(dir: string, { cert, key }: Certificate, ca: string): CertificateFiles {
  const files = { cert: join(dir, "cert.pem"), key: join(dir, "key.pem"), ca: join(dir, "ca.pem") };
  writeFileSync(files.cert, cert);
  writeFileSync(files.key, key);
  writeFileSync(files.ca, ca);
  return files;
}

/** What a listener is told of them. */
export function tlsConfig(
  { cert, key, ca }: Certificate & { readonly ca: string | null },
  settings: Partial<TlsConfig> = {},
): TlsConfig {
  return {
    cert: Buffer.from(cert),
    key: Buffer.from(key),
    ca: ca === null ? null : Buffer.from(ca),
    files: { cert: "", key: "", ca: null },
    minVersion: "TLSv1.2",
    requireClientCert: ca !== null,
    certNamesUser: false,
    allowedCn: null,
    ...settings,
  };
}
