import { readFile, stat } from "node:fs/promises";
import { EngineError } from "../../../core/errors/index.ts";
import { Listeners, type Logger } from "../../../core/node/index.ts";
import type { TlsConfig } from "../config/server-config.ts";
import { describePem, type Pem, pemProblem, validityProblem } from "./pem.ts";

/** How often the files are looked at. */
const LOOK_EVERY_MS = 1000;
/** What is larger is no certificate, and not read. */
const MAX_FILE_BYTES = 1 << 20;

export interface CertificatesOptions {
  readonly config: TlsConfig;
  /** For the log. */
  readonly of: "clients" | "peers";
  readonly logger: Logger;
  readonly lookEveryMs?: number;
}

/**
 * Certificate, key and authorities as their files have them, by and by: replaced files are for the handshakes to come,
 * as with etcd, and connections that stand go on. Files are looked at once a second, and taken when they are the same at
 * two looks, since whoever replaces three of them does it one by one. What cannot be used is refused, and the old stay.
 */
export class Certificates {
  readonly config: TlsConfig;
  readonly #options: CertificatesOptions;
  readonly #changes = new Listeners<Pem>();
  readonly #timer: NodeJS.Timeout;
  #pem: Pem;
  /** Marks of the files as they were taken, and as they were at the last look. */
  #taken = "";
  #seen = "";
  /** Why they are not taken, said once. */
  #refusal = "";
  #looking: Promise<void> | null = null;

  /** @throws EngineError `invalidConfig` for what cannot be used. */
  constructor(options: CertificatesOptions) {
    const { config, lookEveryMs = LOOK_EVERY_MS } = options;
    this.config = config;
    this.#options = options;
    this.#pem = config;
    const problem = pemProblem(config);
    if (problem !== null) {
      const detail = `${config.files.cert}: the certificate or its key is unusable: ${problem}`;
      throw new EngineError("invalidConfig", { detail });
    }
    this.#timer = setInterval(() => void this.look(), lookEveryMs).unref();
  }

  get current(): Pem {
    return this.#pem;
  }

  /** Calls back with what is to be used from now on. */
  onChange(listener: (pem: Pem) => void): void {
    this.#changes.add(listener);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Looks once, or waits for the look under way. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => (this.#looking = null));
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { cert, key, ca } = this.config.files;
    const marks = await Promise.all([cert, key, ...(ca === null ? [] : [ca])].map(markOf));
    const seen = marks.join();
    if (seen === this.#taken) return;
    if (seen !== this.#seen) {
      this.#seen = seen;
      return;
    }
    try {
      const pem = {
        cert: await read(cert),
        key: await read(key),
        ca: ca === null ? null : await read(ca),
      };
      if (!isSame(pem, this.#pem)) this.#take(pem);
      this.#taken = seen;
      this.#refusal = "";
    } catch (error) {
      // To be looked at again: it may be for the time, or for a moment, that they cannot be used.
      this.#refuse((error as Error).message);
    }
  }

  #take(pem: Pem): void {
    const problem = pemProblem(pem) ?? validityProblem(pem, Date.now());
    if (problem !== null) throw new Error(problem);
    this.#pem = pem;
    this.#changes.emit(pem);
    const { of, logger } = this.#options;
    logger.log("info", "certificates were replaced: new connections use the new ones", {
      of,
      ...describePem(pem),
    });
  }

  #refuse(problem: string): void {
    const refusal = `${this.#seen} ${problem}`;
    if (refusal === this.#refusal) return;
    this.#refusal = refusal;
    const { of, logger, config } = this.#options;
    const { files } = config;
    logger.log("error", "replaced certificates are refused, and the old ones stay in use", {
      of,
      problem,
      files,
    });
  }
}

/** What changes whenever the file does, through symbolic links as well. */
async function markOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [ino, size, mtimeNs, ctimeNs].join(":");
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

async function read(path: string): Promise<Uint8Array> {
  const info = await stat(path);
  if (!info.isFile() || info.size > MAX_FILE_BYTES) throw new Error(`${path} is no file of up to 1 MiB`);
  return await readFile(path);
}

function isSame(a: Pem, b: Pem): boolean {
  return (["cert", "key", "ca"] as const).every((part) => {
    const [left, right] = [a[part], b[part]];
    return left === null || right === null ? left === right : Buffer.compare(left, right) === 0;
  });
}
