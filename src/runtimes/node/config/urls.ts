import { isIP } from "node:net";
import { invalid } from "./raw-settings.ts";

const MAX_URLS = 32;

/** `http(s)://host:port` and nothing more, each once; `origin` names them in complaints. */
export function parseUrlList(text: string, origin: string): readonly string[] {
  const parts = text.split(",");
  if (parts.length > MAX_URLS) throw invalid(`${origin}: at most ${MAX_URLS} URLs are possible`);
  return [...new Set(parts.map((part) => parseUrl(part.trim(), origin)))];
}

function parseUrl(text: string, origin: string): string {
  const refuse = (problem: string): never => {
    throw invalid(`${origin}: "${text}" ${problem}`);
  };
  const match = /^(https?):\/\/(\[[^\]]*\]|[^/:?#@\\\s]+)(?::(\d+))?(\/.*)?$/i.exec(text);
  if (match === null || !URL.canParse(`http://${match[2]}`))
    return refuse("is not a URL like http://10.0.0.1:2380");
  const [, scheme, host, port, rest] = match;
  if (port === undefined) return refuse("must name its port");
  if (Number(port) < 1 || Number(port) > 65535) return refuse("has an impossible port");
  if (rest !== undefined && rest !== "/") return refuse("must end after the port");
  return `${scheme!.toLowerCase()}://${new URL(`http://${host}`).hostname}:${Number(port)}`;
}

/** Host without brackets, and port. */
export function hostAndPort(url: string): { readonly host: string; readonly port: number } {
  const match = /^https?:\/\/(.+):(\d+)$/.exec(url)!;
  return { host: match[1]!.replace(/^\[(.*)\]$/, "$1"), port: Number(match[2]) };
}

export function isHttps(url: string): boolean {
  return url.startsWith("https:");
}

/** Only this machine can reach it. */
export function isLoopback(url: string): boolean {
  const { host } = hostAndPort(url);
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/** All addresses of the machine: one to listen on, and of no use to others. */
export function isWildcard(url: string): boolean {
  const { host } = hostAndPort(url);
  return host === "0.0.0.0" || host === "::";
}

/** Only an address says for certain who can reach it, so a name other than localhost is refused (as etcd does). */
export function canListenOn(url: string): boolean {
  const { host } = hostAndPort(url);
  return host === "localhost" || isIP(host) !== 0;
}
