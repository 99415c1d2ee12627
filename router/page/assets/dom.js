// Elements, made without any text being read as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Returns an HTML element; children are elements or texts, and what is null is left out. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Returns an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** Returns the element with an id, which the page has. */
export function byId(id) {
  return document.getElementById(id);
}

/** Returns a table's head and body; a column is [title, class]. */
export function tableParts(columns, rows) {
  const head = el("tr", {}, ...columns.map(([title, kind]) => el("th", { scope: "col", class: kind }, title)));
  return [el("thead", {}, head), el("tbody", {}, ...rows)];
}

/** Returns a row of cells; a cell is a child, or a list of them. */
export function cells(columns, contents) {
  return columns.map(([, kind], place) => el("td", { class: kind }, ...[contents[place]].flat()));
}

/** Returns a backend's name with its colour. */
export function backendName(name, order, kind = "") {
  const place = order.indexOf(name);
  return el("span", { class: `backend ${place < 0 ? "" : `b${place % 8}`} ${kind}` }, name);
}

/** Returns whose answer a call was given to check or to judge, nothing where it was given none. */
export function checked(call) {
  const done = call.judged ? `judged the answer of ${call.judged}` : call.draft_of ? `checked the answer of ${call.draft_of}` : "";
  return done ? el("div", { class: "small quiet" }, done) : null;
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}
