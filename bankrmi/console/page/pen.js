// Draws on a canvas in the colours of page.css: text, blocks, stripes, dashes, at places in time.
//
// Rule: colours come from page.css, so that light and dark are decided in one place.

const COLOURS = ["card", "ink", "soft", "faint", "fainter", "primary", "on-primary", "standby", "joining", "starting", "kill", "pause",
  "stop", "switchover", "rate", "band", "longest", "cut", "slow", "bad", "edge"];
export const FONT = "11px system-ui, 'Noto Sans', 'Liberation Sans', sans-serif";
export const BOLD = `600 ${FONT}`;

export class Pen {
  #colours = null; #size = "";

  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  forgetColours() { this.#colours = null; }

  /** Begin a picture of `width` by `height`, in which time goes from `from` at `left` to `until` at `right`. */
  begin({width, height, left, right, from, until}) {
    Object.assign(this, {width, height, left, right, from, until});
    const ratio = Math.min(2, devicePixelRatio || 1), size = `${width} ${height} ${ratio}`;
    if (size !== this.#size) {
      this.#size = size;
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
      this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    if (!this.#colours) {
      const style = getComputedStyle(document.documentElement);
      this.#colours = Object.fromEntries(COLOURS.map(name => [name, style.getPropertyValue(`--${name}`).trim()]));
    }
    this.context.clearRect(0, 0, width, height);
    this.context.textBaseline = "alphabetic";
  }

  colour(name) { return this.#colours[name]; }

  x(t) { return this.left + (t - this.from) / (this.until - this.from) * (this.right - this.left); }

  /** Is any of it to be seen? */
  shows(from, until) { return until >= this.from && from <= this.until; }

  widthOf(text, font = FONT) {
    this.context.font = font;
    return this.context.measureText(text).width;
  }

  text(text, x, y, colour, {font = FONT, align = "left"} = {}) {
    this.context.font = font;
    this.context.textAlign = align;
    this.context.fillStyle = this.#colours[colour];
    this.context.fillText(text, x, y);
  }

  /** Text that ends with an ellipsis where there is no room for it. */
  shortened(text, room, font = FONT) {
    if (this.widthOf(text, font) <= room) return text;
    let end = text.length;
    while (end > 1 && this.widthOf(`${text.slice(0, end)}…`, font) > room) end--;
    return `${text.slice(0, end)}…`;
  }

  fill(x, y, width, height, colour, opacity = 1) {
    this.context.globalAlpha = opacity;
    this.context.fillStyle = this.#colours[colour];
    this.context.fillRect(x, y, width, height);
    this.context.globalAlpha = 1;
  }

  block(from, until, y, height, colour, {opacity = 1, least = 0} = {}) {
    const x = Math.max(this.left - 5, this.x(from)), right = Math.min(this.right + 5, this.x(until));
    this.fill(x, y, Math.max(least, right - x), height, colour, opacity);
  }

  stripes(from, until, y, height, colour, {every = 6, upright = false} = {}) {
    const context = this.context;
    const left = Math.max(this.left, this.x(from)), right = Math.min(this.right, this.x(until));
    if (right <= left) return;
    context.save();
    context.beginPath();
    context.rect(left, y, right - left, height);
    context.clip();
    context.strokeStyle = this.#colours[colour];
    context.lineWidth = 1.5;
    context.beginPath();
    const lean = upright ? 0 : height;
    for (let x = left - lean; x < right; x += every) { context.moveTo(x, y + height); context.lineTo(x + lean, y); }
    context.stroke();
    context.restore();
  }

  dashes(from, until, y, colour) {
    const context = this.context;
    context.strokeStyle = this.#colours[colour];
    context.lineWidth = 2;
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(Math.max(this.left, this.x(from)), y);
    context.lineTo(Math.min(this.right, this.x(until)), y);
    context.stroke();
    context.setLineDash([]);
  }
}
