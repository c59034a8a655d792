/** The command line, the environment or the config file can't be used. The message is what the person reads: refused, got, bound, fix. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
