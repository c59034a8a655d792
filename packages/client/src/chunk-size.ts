/**
 * Bytes per request of one upload: what it was told, and less once the way shows that it takes no more. It never grows again: what bounds bodies on a
 * way goes on bounding them, and asking anew costs a refused request each time.
 */

// Bodies up to this go along with the creation, so that a small file is one request; sent twice at most, when an answer gets lost.
const WITH_CREATION_BYTES = 262_144;
// Where all in one has failed, what an unconfigured proxy in front of uploads commonly lets through; halved from there.
const FIRST_BYTES = 8_388_608;
// Half of the smallest bound known in the field (nginx ships with 1 MiB); below it refusals have another reason.
const LEAST_REFUSED_BYTES = 524_288;
// A way that swallows a megabyte in whole does not get better by less; it is only slower.
const LEAST_FRUITLESS_BYTES = 1_048_576;
// One cut is a dropped link.
const FRUITLESS_UNTIL_SMALLER = 2;

export class ChunkSize {
  #bytes: number;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether a file of that length, null while unknown, goes along with its creation. */
  fitsCreation(total: number | null): boolean {
    return total !== null && total <= Math.min(WITH_CREATION_BYTES, this.#bytes);
  }

  /** A body was refused as too large, with `leftBytes` to go. False: it is as small as it gets, and the refusal stands. */
  shrinkRefused(leftBytes: number): boolean {
    return this.#halve(leftBytes, LEAST_REFUSED_BYTES);
  }

  /** A body was cut and nothing of it stored, `failures` times in a row: something collects bodies, and cuts before it has them whole. */
  shrinkFruitless(leftBytes: number, failures: number): void {
    if (failures >= FRUITLESS_UNTIL_SMALLER) this.#halve(leftBytes, LEAST_FRUITLESS_BYTES);
  }

  #halve(leftBytes: number, leastBytes: number): boolean {
    const halfBytes = Math.min(FIRST_BYTES, Math.floor(Math.min(leftBytes, this.#bytes) / 2));
    if (halfBytes < leastBytes) return false;
    this.#bytes = halfBytes;
    return true;
  }
}
