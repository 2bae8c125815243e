import { sha256 } from "@noble/hashes/sha2.js";
import { equalBytes } from "../../bytes/index.ts";
import { EngineError } from "../../errors/index.ts";
import {
  backupBytes,
  type BackupHead,
  brokenBackup,
  decodeHead,
  decodePreface,
  paddingBytes,
  PREFACE_BYTES,
} from "./backup-format.ts";

/** What a backup that was read to its end has been found to be. */
export interface BackupSummary extends BackupHead {
  /** Of the whole file. */
  readonly bytes: number;
  /** SHA-256 of everything before it, with which the file ends. */
  readonly digest: Uint8Array;
}

/**
 * Reads a backup's bytes, in pieces of whatever size. It believes nothing: what it hands on as content is certain to
 * belong to a backup only when `finish` has returned.
 */
export class BackupReader {
  readonly #onContent: (bytes: Uint8Array) => void;
  readonly #hash = sha256.create();
  #part: "preface" | "head" | "content" | "padding" | "digest" | "end" = "preface";
  /** Bytes of a small part that has not arrived whole. */
  #gathered: Uint8Array = new Uint8Array(PREFACE_BYTES);
  #filled = 0;
  /** Bytes left of the content, or of the padding. */
  #left = 0;
  #headBytes = 0;
  #head: BackupHead | null = null;
  #read = 0;

  /** @param onContent given the key-value store's snapshot, in pieces. They are views of the input. */
  constructor(onContent: (bytes: Uint8Array) => void) {
    this.#onContent = onContent;
  }

  /** Null until it has been read. */
  get head(): BackupHead | null {
    return this.#head;
  }

  /** @throws EngineError `malformed`, `storageCorrupt`; the reader is of no use then. */
  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) at += this.#take(bytes.subarray(at));
  }

  /** Call it at the end of the file. @throws EngineError `malformed` when it has been cut short. */
  finish(): BackupSummary {
    const head = this.#head;
    if (head === null) throw brokenBackup(`it breaks off after ${this.#read} bytes`);
    const bytes = backupBytes(this.#headBytes, head.contentBytes);
    if (this.#part !== "end") throw brokenBackup(`it breaks off after ${this.#read} of ${bytes} bytes`);
    return { ...head, bytes, digest: this.#gathered };
  }

  /** Returns how many bytes belonged to the part that was due. */
  #take(bytes: Uint8Array): number {
    switch (this.#part) {
      case "content":
      case "padding":
        return this.#pass(bytes);
      case "end":
        throw brokenBackup("something follows its end");
      default:
        return this.#gather(bytes);
    }
  }

  #gather(bytes: Uint8Array): number {
    const count = Math.min(this.#gathered.length - this.#filled, bytes.length);
    this.#gathered.set(bytes.subarray(0, count), this.#filled);
    this.#filled += count;
    this.#read += count;
    if (this.#filled === this.#gathered.length) this.#gatheredPart();
    return count;
  }

  #gatheredPart(): void {
    const bytes = this.#gathered;
    if (this.#part === "preface") {
      this.#hash.update(bytes);
      this.#await("head", decodePreface(bytes));
    } else if (this.#part === "head") {
      this.#hash.update(bytes);
      this.#head = decodeHead(bytes);
      this.#headBytes = this.#read;
      this.#left = this.#head.contentBytes;
      this.#part = "content";
      this.#passed();
    } else {
      if (!equalBytes(bytes, this.#hash.digest())) {
        throw new EngineError("storageCorrupt", { detail: "snapshot file: its SHA-256 does not match" });
      }
      this.#part = "end";
    }
  }

  #pass(bytes: Uint8Array): number {
    const part = bytes.subarray(0, Math.min(this.#left, bytes.length));
    this.#hash.update(part);
    this.#left -= part.length;
    this.#read += part.length;
    if (this.#part === "content") this.#onContent(part);
    else if (part.some((byte) => byte !== 0))
      throw brokenBackup("there is something between content and digest");
    this.#passed();
    return part.length;
  }

  #passed(): void {
    if (this.#left > 0) return;
    if (this.#part === "content") {
      this.#part = "padding";
      this.#left = paddingBytes(this.#headBytes, this.#head?.contentBytes ?? 0);
    }
    if (this.#left === 0) this.#await("digest", sha256.outputLen);
  }

  #await(part: "head" | "digest", length: number): void {
    this.#part = part;
    this.#gathered = new Uint8Array(length);
    this.#filled = 0;
  }
}
