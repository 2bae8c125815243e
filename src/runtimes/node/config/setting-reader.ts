import { readFileSync } from "node:fs";
import { invalid, type RawSettings, type RawValue } from "./raw-settings.ts";
import { parseUrlList } from "./urls.ts";

/** Reads single settings out of what was given; every complaint names the place. */
export class SettingReader {
  readonly #settings: RawSettings;

  constructor(settings: RawSettings) {
    this.#settings = settings;
  }

  has(name: string): boolean {
    return this.#settings.has(name);
  }

  raw(name: string): RawValue | undefined {
    return this.#settings.get(name);
  }

  /** What to call a setting in a message: where it was given, or its flag. */
  label(name: string): string {
    return this.#settings.get(name)?.origin ?? `--${name}`;
  }

  text(name: string, byDefault: string): string {
    const raw = this.#settings.get(name);
    if (raw === undefined) return byDefault;
    if (raw.text.trim() === "") throw invalid(`${raw.origin} must not be empty`);
    return raw.text.trim();
  }

  oneOf<T extends string>(name: string, choices: readonly T[], byDefault: T): T {
    const raw = this.#settings.get(name);
    if (raw === undefined) return byDefault;
    const found = choices.find((choice) => choice === raw.text);
    if (found !== undefined) return found;
    throw invalid(`${raw.origin} must be one of ${choices.join(", ")}, not "${raw.text}"`);
  }

  /** A whole number; `unit` for the message. */
  number(name: string, limits: { min: number; max: number; unit: string }, byDefault: number): number {
    const raw = this.#settings.get(name);
    if (raw === undefined) return byDefault;
    const value = /^\d{1,15}$/.test(raw.text.trim()) ? Number(raw.text) : Number.NaN;
    if (value >= limits.min && value <= limits.max) return value;
    throw invalid(
      `${raw.origin} must be a whole number of ${limits.unit} from ${limits.min} to ${limits.max}, not "${raw.text}"`,
    );
  }

  switch(name: string): boolean {
    const raw = this.#settings.get(name);
    if (raw === undefined || raw.text === "false") return false;
    if (raw.text === "true") return true;
    throw invalid(`${raw.origin} must be true or false, not "${raw.text}"`);
  }

  /** Null when it is not given. */
  urls(name: string): readonly string[] | null {
    const raw = this.#settings.get(name);
    return raw === undefined ? null : parseUrlList(raw.text, raw.origin);
  }

  /** The content of a named file; null when it is not given. */
  file(name: string): Uint8Array | null {
    const raw = this.#settings.get(name);
    if (raw === undefined) return null;
    try {
      return readFileSync(raw.text);
    } catch (error) {
      throw invalid(`${raw.origin}: cannot read ${raw.text}: ${(error as Error).message}`);
    }
  }

  /** A secret given as it is or, under the name with `-file`, as a file; null when neither is given. */
  secret(name: string): string | null {
    const fileName = `${name}-file`;
    if (this.has(name) && this.has(fileName)) {
      throw invalid(`${this.label(name)} and ${this.label(fileName)} exclude each other`);
    }
    const file = this.file(fileName);
    const raw = this.#settings.get(name);
    if (file === null && raw === undefined) return null;
    const secret = (file === null ? raw!.text : new TextDecoder().decode(file)).trim();
    const label = this.label(file === null ? name : fileName);
    if (secret.length < MIN_SECRET_LENGTH) {
      throw invalid(
        `${label}: at least ${MIN_SECRET_LENGTH} characters are needed, ${secret.length} are given`,
      );
    }
    return secret;
  }
}

/** Below this a secret could be guessed. */
export const MIN_SECRET_LENGTH = 16;
