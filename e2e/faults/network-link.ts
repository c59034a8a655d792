/**
 * A wire of its own between the server and its watchers: a network namespace joined to the machine by a veth pair, on which packets
 * can be dropped without a word, the link taken down, or the bandwidth bounded. Root only.
 *
 * Promises: `remove` takes all of it down; what is left when the process ends is removed then.
 */
import { spawnSync } from "node:child_process";

let links = 0;
const standing = new Set<NetworkLink>();
process.once("exit", () => {
  for (const link of standing) link.remove();
});

export class NetworkLink {
  /** The address at the server's end. */
  readonly serverHost: string;
  /** Runs a command at the watchers' end. */
  readonly within: readonly string[];
  readonly #name: string;
  readonly #device: string;

  constructor() {
    links += 1;
    this.#name = `hf-${process.pid}-${links}`;
    this.#device = `hf${process.pid % 100_000}x${links}`;
    this.within = ["ip", "netns", "exec", this.#name];
    // Of 198.18.0.0/15, which is kept for benches; four addresses each.
    const base = (links % 64) * 4;
    const addressOf = (at: number): string => `198.18.${process.pid % 256}.${base + at}`;
    this.serverHost = addressOf(1);
    standing.add(this);
    run(["ip", "netns", "add", this.#name]);
    run(["ip", "link", "add", this.#device, "type", "veth", "peer", "name", "eth0", "netns", this.#name]);
    run(["ip", "addr", "add", `${this.serverHost}/30`, "dev", this.#device]);
    run(["ip", "link", "set", this.#device, "up"]);
    run([...this.within, "ip", "addr", "add", `${addressOf(2)}/30`, "dev", "eth0"]);
    run([...this.within, "ip", "link", "set", "eth0", "up"]);
    run([...this.within, "ip", "link", "set", "lo", "up"]);
  }

  /** The watchers' end goes down: routes are gone, and a connect fails at once. */
  setUp(up: boolean): void {
    run([...this.within, "ip", "link", "set", "eth0", up ? "up" : "down"]);
  }

  /**
   * Drops that share of all packets where they arrive, both ways; nobody is told. Not where they leave: a kernel that drops its own
   * packet knows.
   */
  dropPackets(percent: number): void {
    const rule = percent >= 100 ? "counter drop" : `numgen random mod 100 < ${percent} counter drop`;
    const table = `table ip ${this.#device}`;
    for (const [within, device] of this.#ends()) {
      run([
        ...within,
        "nft",
        `add ${table}; add chain ip ${this.#device} in { type filter hook input priority 0; };
         add rule ip ${this.#device} in iifname "${device}" ${rule}`,
      ]);
    }
  }

  /** Returns how many packets were dropped. */
  stopDropping(): number {
    const { dropped } = this;
    for (const [within] of this.#ends()) run([...within, "nft", "delete", "table", "ip", this.#device]);
    return dropped;
  }

  /** Packets dropped so far. */
  get dropped(): number {
    return this.#ends().reduce((sum, [within]) => {
      const listing = run([...within, "nft", "list", "table", "ip", this.#device]);
      return sum + Number(/packets (\d+)/.exec(listing)?.[1] ?? 0);
    }, 0);
  }

  /** From the server to the watchers. */
  limitBandwidth(bytesPerSecond: number): void {
    const rate = `${bytesPerSecond * 8}bit`;
    // A burst below a packet would pass nothing; a queue of two seconds is what a slow line has.
    run([
      "tc",
      "qdisc",
      "add",
      "dev",
      this.#device,
      "root",
      "tbf",
      "rate",
      rate,
      "burst",
      "3000",
      "latency",
      "2s",
    ]);
  }

  /** Returns how many packets had to wait or were dropped. */
  liftBandwidth(): number {
    const listing = run(["tc", "-s", "qdisc", "show", "dev", this.#device]);
    run(["tc", "qdisc", "del", "dev", this.#device, "root"]);
    return Number(/overlimits (\d+)/.exec(listing)?.[1] ?? 0);
  }

  remove(): void {
    standing.delete(this);
    spawnSync("ip", ["link", "del", this.#device]);
    spawnSync("ip", ["netns", "del", this.#name]);
    spawnSync("nft", ["delete", "table", "ip", this.#device], { stdio: "ignore" });
  }

  #ends(): readonly (readonly [readonly string[], string])[] {
    return [
      [[], this.#device],
      [this.within, "eth0"],
    ];
  }
}

function run(command: readonly string[]): string {
  const [program = "", ...args] = command;
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command.join(" ")}: ${error?.message ?? stderr}`);
  return stdout;
}
