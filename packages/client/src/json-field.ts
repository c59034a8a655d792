/** A field of a JSON object; undefined where there is none, as on a foreign stream, which may use our names for anything. */
export function readField(data: string, name: string): unknown {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
  } catch {
    return undefined;
  }
}
