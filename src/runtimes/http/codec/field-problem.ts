/** What is wrong with one field of a message; gathers the path to it on the way out. */
export class FieldProblem extends Error {
  override readonly name = "FieldProblem";
  /** Relative to the message being read: `success[3].request_put.key`. */
  path: string = "";
  /** The engine's own error for it, where it has one. */
  readonly code: "invalidSortOption" | null;
  /** A number that JSON.parse rounded: with the source text at hand it may yet be read. */
  readonly rounded: boolean;

  constructor(problem: string, options: { code?: "invalidSortOption"; rounded?: boolean } = {}) {
    super(problem);
    this.code = options.code ?? null;
    this.rounded = options.rounded ?? false;
  }

  /** Prepends a field's name or a list index (`[3]`). */
  inside(place: string): this {
    const glue = this.path === "" || this.path.startsWith("[") ? "" : ".";
    this.path = `${place}${glue}${this.path}`;
    return this;
  }

  override toString(): string {
    return this.path === "" ? this.message : `${this.path}: ${this.message}`;
  }
}
