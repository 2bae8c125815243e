import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";

/** What one side of a connection shows, and whom it trusts, in PEM. */
export interface Pem {
  /** Its certificate, and those between it and its authority. */
  readonly cert: Uint8Array;
  readonly key: Uint8Array;
  /** Authorities of the other side's certificates. */
  readonly ca: Uint8Array | null;
}

/** Why it cannot be used, or null: a pair that does not belong together, a bundle that breaks off, no certificate at all. */
export function pemProblem({ cert, key, ca }: Pem): string | null {
  try {
    const [leaf] = certificatesIn(cert, "the certificate file");
    if (/ENCRYPTED/.test(Buffer.from(key).toString("latin1")))
      return "the key has a passphrase, which nobody can be asked for";
    if (!leaf!.checkPrivateKey(createPrivateKey(Buffer.from(key))))
      return "the key is not the certificate's: key values mismatch";
    if (ca !== null) certificatesIn(ca, "the authorities' file");
    createSecureContext(secureContext({ cert, key, ca }));
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Why what it shows convinces nobody at this time, or null. */
export function validityProblem({ cert }: Pem, nowMs: number): string | null {
  const { validFromDate, validToDate } = leafOf(cert);
  if (validFromDate.getTime() > nowMs)
    return `the certificate is not valid before ${validFromDate.toISOString()}`;
  return validToDate.getTime() < nowMs ? `the certificate has expired at ${validToDate.toISOString()}` : null;
}

/** For the log. */
export function describePem({ cert }: Pem): Readonly<Record<string, string>> {
  const { subject, serialNumber, validToDate } = leafOf(cert);
  return {
    subject: subject === undefined ? "" : subject.replaceAll("\n", ", "),
    serialNumber,
    validUntil: validToDate.toISOString(),
  };
}

/** As Node's TLS takes it. */
export function secureContext({ cert, key, ca }: Pem): { cert: Buffer; key: Buffer; ca?: Buffer } {
  return { cert: Buffer.from(cert), key: Buffer.from(key), ...(ca === null ? {} : { ca: Buffer.from(ca) }) };
}

function leafOf(cert: Uint8Array): X509Certificate {
  return new X509Certificate(Buffer.from(cert));
}

const BEGIN = "-----BEGIN CERTIFICATE-----";
const WHOLE = /^-----BEGIN CERTIFICATE-----[^-]+^-----END CERTIFICATE-----[ \t]*\r?$/gm;

/** All of them: OpenSSL passes over what it cannot read of a bundle, and trusts nobody by an empty one. */
function certificatesIn(pem: Uint8Array, where: string): X509Certificate[] {
  const text = Buffer.from(pem).toString("latin1");
  const whole = text.match(WHOLE) ?? [];
  if (whole.length !== text.split(BEGIN).length - 1)
    throw new Error(`a certificate in ${where} is not whole, or not on lines of its own`);
  if (whole.length === 0) throw new Error(`there is no certificate in ${where}`);
  return whole.map((each) => new X509Certificate(each));
}
