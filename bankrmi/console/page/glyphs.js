// The small drawings that stand for what was done, 12 by 12: on a canvas, and in a table.

import {draw} from "./elements.js";

const PATHS = {
  kill: "M2.5 2.5l7 7m0-7l-7 7",
  stop: "M3 3h6v6h-6z",
  pause: "M4 2.5v7m4-7v7",
  wipe: "M6 1a5 5 0 1 0 .01 0zM4 4l4 4m0-4l-4 4",
  fill: "M6 1a5 5 0 1 0 .01 0zM2 6h8M2.5 8h7",
  forget: "M6 1a5 5 0 1 0 .01 0zM4 4l4 4m0-4l-4 4",
  cut: "M0 6h3.5m5 0h3.5M5 2.5v7m2-7v7",
  slow: "M3 2h6l-6 8h6z",
  remove: "M6 1a5 5 0 1 0 .01 0zM3 6h6",
  switchover: "M1 4h9l-2.5-2.5M11 8h-9l2.5 2.5",
  strangers: "M3 4v-2h6v2l-3 2.5v1.5M6 10v.01",
  rush: "M1 6h8M6 2.5l3.5 3.5-3.5 3.5",
  release: "M6 10.5v-8M2.5 6l3.5-3.5 3.5 3.5",
  "slow disk": "M6 1a5 5 0 1 0 .01 0zM6 3v3l2 1.5",
};
const OTHER = "M6 2v5M6 9.5v.01";
const COLOURS = {
  kill: "kill", wipe: "kill", fill: "slow", forget: "kill", pause: "pause", stop: "stop", remove: "stop", release: "stop", cut: "cut", slow: "slow", "slow disk": "slow",
  switchover: "switchover", strangers: "slow", rush: "slow",
};

const path = kind => (Object.hasOwn(PATHS, kind) ? PATHS[kind] : OTHER);

/** The name of the colour in page.css. */
export const faultColour = kind => (Object.hasOwn(COLOURS, kind) ? COLOURS[kind] : "cut");

export function paintGlyph(context, kind, x, y, colour) {
  context.save();
  context.translate(x, y);
  context.strokeStyle = colour;
  context.lineWidth = 1.7;
  context.lineCap = context.lineJoin = "round";
  context.stroke(new Path2D(path(kind)));
  context.restore();
}

export const glyph = kind =>
  draw("svg", {class: "glyph", viewBox: "0 0 12 12", "aria-hidden": "true", "data-colour": faultColour(kind)}, draw("path", {d: path(kind)}));
