/**
 * What the tests of uploads say over and over: create, read, wait, and a request whose body is sent by hand.
 */
import { connect, type Socket } from "node:net";
import type { Task } from "@holdfast/protocol";
import { expect } from "vitest";
import { json, until, type Served } from "./served.test.kit.js";

export const TUS: Record<string, string> = { "Tus-Resumable": "1.0.0" };
export const BYTES: Record<string, string> = { ...TUS, "Content-Type": "application/offset+octet-stream" };

export async function create({ api }: Served, body: object): Promise<Task> {
  const answer = await fetch(`${api}/uploads`, json("POST", body));
  expect(answer.status).toBe(201);
  return (await answer.json()) as Task;
}

export async function task({ api }: Served, id: string): Promise<Task> {
  return (await (await fetch(`${api}/uploads/${id}`)).json()) as Task;
}

export async function content({ api }: Served, id: string): Promise<Buffer> {
  const answer = await fetch(`${api}/uploads/${id}/content`);
  expect(answer.status).toBe(200);
  return Buffer.from(await answer.arrayBuffer());
}

/** The problem's code, after its form was checked. */
export async function problem(answer: Response): Promise<string> {
  expect(answer.headers.get("content-type")).toContain("application/problem+json");
  const { code, status, detail } = (await answer.json()) as { code: string; status: number; detail: string };
  expect(status).toBe(answer.status);
  expect(detail.length).toBeGreaterThan(10);
  return code;
}

/** A request whose body is sent by hand. */
export async function begin(served: Served, head: string): Promise<Socket> {
  const socket = connect(served.port, "127.0.0.1");
  socket.on("error", () => undefined);
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  socket.write(`${head}\r\nHost: x\r\n`);
  return socket;
}

export async function ended(served: Served, id: string): Promise<Task> {
  await until(async () => (await task(served, id)).endedAt !== null);
  return await task(served, id);
}

export async function stored(served: Served, id: string, bytes: number): Promise<void> {
  await until(async () => (await task(served, id)).uploaded === bytes);
}
