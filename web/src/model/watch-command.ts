/** A line for a terminal that shows the same stream. A token stays out of it: screens are shared, shell histories kept. */
export function toWatchCommand(streamUrl: string, hasToken: boolean): string {
  // Ids and origins have no quotes; a base path could only if somebody meant harm.
  const url = `'${streamUrl.replaceAll("'", "%27")}'`;
  return hasToken ? `curl -N -H "Authorization: Bearer $HOLDFAST_TOKEN" ${url}` : `curl -N ${url}`;
}
