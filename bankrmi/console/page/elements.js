// Makes elements, of HTML and of SVG, without ever reading data as markup.
//
// Rule 1: text goes in as text. Nothing on this page sets innerHTML.
// Rule 2: no style attributes: the page is served with default-src 'self'. Classes say how things look;
//         places that are computed are set through `element.style` or as SVG attributes.

const SVG = "http://www.w3.org/2000/svg";

export const byId = id => document.getElementById(id);

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export const make = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);

export const draw = (tag, attributes = {}, ...children) =>
  filled(document.createElementNS(SVG, tag), attributes, children);

/** A name of Python's in a narrow place: it is broken between its words before it is broken within one. */
export const breakable = name => name.split(/(?<=[_.])/).flatMap(word => [word, make("wbr")]);

/** Change the text only if it is another one: screen readers and the layout then have nothing to do. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The same for an attribute; null takes it away. */
export function mark(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, value === true ? "" : value);
  }
}

/** Return a table whose body can be filled again and again; its rows and cells are kept. */
export function table(caption, heads) {
  const body = make("tbody");
  const row = make("tr", {}, ...heads.map(head => make("th", {scope: "col", class: head.number ? "number" : null, text: head.text})));
  const element = make("table", {}, make("caption", {class: "unseen", text: caption}), make("thead", {}, row), body);
  return {element, fill: rows => fillRows(body, rows, heads)};
}

function fillRows(body, rows, heads) {
  while (body.rows.length > rows.length) body.lastElementChild.remove();
  while (body.rows.length < rows.length) {
    body.append(make("tr", {}, ...heads.map((head, place) =>
      place === 0 ? make("th", {scope: "row"}) : make("td", {class: head.number ? "number" : null}))));
  }
  rows.forEach((cells, at) => {
    const row = body.rows[at];
    mark(row, "data-tone", cells.tone ?? null);
    cells.texts.forEach((text, place) => say(row.cells[place], text));
    if (cells.titles) cells.titles.forEach((title, place) => mark(row.cells[place], "title", title));
  });
}

export const MOST_ROWS = 2000;

/** Return a table that is made once; a cell is a text or an element, the first of each row its head. */
export function madeTable(caption, heads, rows, attributes = {}) {
  if (rows.length > MOST_ROWS) rows = [...rows.slice(0, MOST_ROWS), [`and ${rows.length - MOST_ROWS} more`, ...heads.slice(1).map(() => "")]];
  const cell = (content, place) => make(place === 0 ? "th" : "td", {scope: place === 0 ? "row" : null, class: heads[place].number ? "number" : heads[place].class ?? null}, content);
  return make("table", attributes, make("caption", {class: "unseen", text: caption}),
    make("thead", {}, make("tr", {}, ...heads.map(head => make("th", {scope: "col", class: head.number ? "number" : null, text: head.text})))),
    make("tbody", {}, ...rows.map(cells => make("tr", {}, ...cells.map(cell)))));
}

/** A table in a region that can be scrolled sideways, also by the keyboard. */
export const scrolled = (label, element) => make("div", {class: "scrolled", tabindex: "0", role: "region", "aria-label": label}, element);

/** An instant that, when it is clicked, is shown on the timeline. */
export const moment = (text, onclick) => make("button", {type: "button", class: "moment", title: "Show this on the timeline", text, onclick});
