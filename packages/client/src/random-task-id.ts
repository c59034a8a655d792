import type { TaskId } from "@holdfast/protocol";

const ID_SAFE: { readonly [character: string]: string } = { "+": "-", "/": "_" };

/** 128 random bits in the alphabet of ids. */
export function randomTaskId(): TaskId {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const text = btoa(String.fromCharCode(...bytes));
  return text.replace(/[+/=]/g, (c) => ID_SAFE[c] ?? "") as TaskId;
}
