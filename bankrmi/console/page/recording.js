// Unpacks the recording that is in this page.
//
// Rule: what was recorded becomes values, and text where it is shown; whoever made the file has read each line once.

/** Return all events, in the order of their time. */
export async function recordedEvents(element) {
  const packed = Uint8Array.from(atob(element.textContent), letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const events = (await new Response(stream).text()).split("\n").filter(Boolean).map(line => JSON.parse(line));
  const [hello, ...others] = events;
  return [hello, ...others.sort((one, other) => one.t - other.t)];
}
