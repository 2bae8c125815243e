import { invalid } from "./raw-settings.ts";
import type { TlsConfig, TlsVersion } from "./server-config.ts";
import type { SettingReader } from "./setting-reader.ts";
import { isHttps } from "./urls.ts";

const VERSIONS = ["TLS1.2", "TLS1.3"] as const;

/**
 * The certificates for one kind of listener; null when it has none.
 *
 * @param urls where it listens.
 * @throws EngineError `invalidConfig`.
 */
export function tlsConfig(
  reader: SettingReader,
  prefix: "" | "peer-",
  urls: readonly string[],
): TlsConfig | null {
  const [certName, keyName] = [`${prefix}cert-file`, `${prefix}key-file`];
  const caName = `${prefix}trusted-ca-file`;
  const authName = `${prefix}client-cert-auth`;
  const secureUrl = urls.find(isHttps);
  const listenName = prefix === "" ? "listen-client-urls" : "listen-peer-urls";
  const demandsCert = reader.switch(authName);
  const [cert, key, ca] = [reader.file(certName), reader.file(keyName), reader.file(caName)];
  if (cert === null || key === null) {
    const [given, absent] = cert === null ? [keyName, certName] : [certName, keyName];
    if (reader.has(given)) throw invalid(`${reader.label(given)} needs --${absent} as well`);
    if (secureUrl !== undefined) {
      throw invalid(`${reader.label(listenName)}: ${secureUrl} needs --${certName} and --${keyName}`);
    }
    const stray = [caName, authName].find((name) => reader.has(name));
    if (stray !== undefined) throw invalid(`${reader.label(stray)} needs --${certName} and --${keyName}`);
    return null;
  }
  if (secureUrl === undefined) {
    throw invalid(
      `${reader.label(certName)} would protect nothing: none of ${reader.label(listenName)} is https`,
    );
  }
  if (demandsCert && ca === null) throw invalid(`${reader.label(authName)} needs --${caName}`);
  return {
    cert,
    key,
    ca,
    files: {
      cert: reader.text(certName, ""),
      key: reader.text(keyName, ""),
      ca: ca === null ? null : reader.text(caName, ""),
    },
    minVersion: minVersion(reader),
    // etcd demands certificates of clients as soon as it knows their authority. Of members that cannot be had: the
    // authority may be for what they are asked, and a Durable Object has no certificate to show.
    requireClientCert: demandsCert || (prefix === "" && ca !== null),
    certNamesUser: demandsCert,
    allowedCn: allowedCn(reader, prefix, demandsCert),
  };
}

function minVersion(reader: SettingReader): TlsVersion {
  return reader.oneOf("tls-min-version", VERSIONS, "TLS1.2") === "TLS1.3" ? "TLSv1.3" : "TLSv1.2";
}

function allowedCn(reader: SettingReader, prefix: "" | "peer-", demandsCert: boolean): string | null {
  const name = "peer-cert-allowed-cn";
  if (prefix === "" || !reader.has(name)) return null;
  if (!demandsCert) throw invalid(`${reader.label(name)} needs --peer-client-cert-auth`);
  return reader.text(name, "");
}
