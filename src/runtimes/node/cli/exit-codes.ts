/** What the exit status of a command says. Scripts rely on it. */
export const ExitCode = {
  ok: 0,
  /** The cluster refused, or the command failed: nothing was changed. */
  failed: 1,
  /** The command line or the configuration is wrong. */
  usage: 2,
  /** There is no such key, or lease. */
  notFound: 3,
  /** No endpoint could be reached. */
  unreachable: 4,
  /** A write was sent, and it is not known whether it took effect. */
  unknown: 5,
  /** Another process has taken over this member's storage. To start it again would take it back. */
  fenced: 6,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export const EXIT_CODE_HELP: string = `Exit status
  0  done
  1  refused or failed; nothing was changed
  2  the command line or the configuration is wrong
  3  no such key, or lease
  4  no endpoint could be reached
  5  a write was sent, and whether it took effect is not known
  6  serve: another process has taken over the storage; do not start this one again while that one runs
`;

/** Ends a command with a message and an exit status. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode) {
    super(message);
    this.exitCode = exitCode;
  }
}
