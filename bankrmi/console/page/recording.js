// Unpacks the recording that is in this page.
//
// Rule: what was recorded becomes values, and text where it is shown; whoever made the file has read each line once.

/** Return all events, in the order of their time. */
export async function recordedEvents(element) {
  const letters = atob(element.textContent), packed = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at++) packed[at] = letters.charCodeAt(at);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const events = (await new Response(stream).text()).split("\n").filter(Boolean).map(line => JSON.parse(line));
  const [hello, ...others] = events;
  return [hello, ...others.sort((one, other) => one.t - other.t)];
}
