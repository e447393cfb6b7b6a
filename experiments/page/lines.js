// Elements, and the paths of lines and bands. Texts from the data only ever become text nodes.

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function html(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

// A piece of a method's line and its name.
function swatch(methods, i) {
  const dash = methods[i].dash.join(" ");
  return [
    svg("svg", { class: "swatch", viewBox: "0 0 26 10", "aria-hidden": "true" },
      svg("path", { d: "M1 5H25", stroke: `var(--m${i})`, "stroke-dasharray": dash })),
    html("span", { class: "label" }, ...foldable(methods[i].label)),
  ];
}

// A text that may be folded after an underscore, as in the names of methods.
function foldable(text) {
  return text.split(/(?<=_)/).flatMap((part, i) => (i ? [html("wbr"), part] : [part]));
}

// Runs of points where all of the given arrays have numbers: [[first, last], ...].
function unbroken(...arrays) {
  const found = [];
  let first = -1;
  for (let i = 0; i <= arrays[0].length; i++) {
    const here = i < arrays[0].length && arrays.every((a) => a[i] !== null && Number.isFinite(a[i]));
    if (here && first < 0) first = i;
    if (!here && first >= 0) {
      found.push([first, i - 1]);
      first = -1;
    }
  }
  return found;
}

const at = (x, y) => `${x.toFixed(1)} ${y.toFixed(1)}`;

// A line's path in pixels; null breaks it. With steps, a value holds until the next one.
function linePath(xs, ys, steps) {
  let path = "";
  for (const [first, last] of unbroken(xs, ys)) {
    path += `M${at(xs[first], ys[first])}`;
    if (first === last) path += "h2";
    for (let i = first + 1; i <= last; i++) {
      path += steps ? `H${xs[i].toFixed(1)}V${ys[i].toFixed(1)}` : `L${at(xs[i], ys[i])}`;
    }
  }
  return path;
}

// The area between two lines in pixels.
function bandPath(xs, lows, highs, steps) {
  let path = "";
  for (const [first, last] of unbroken(xs, lows, highs)) {
    const forward = [];
    const back = [];
    for (let i = first; i <= last; i++) {
      if (steps && i > first) {
        forward.push(at(xs[i], highs[i - 1]));
        back.push(at(xs[i], lows[i - 1]));
      }
      forward.push(at(xs[i], highs[i]));
      back.push(at(xs[i], lows[i]));
    }
    path += `M${forward.join("L")}L${back.reverse().join("L")}Z`;
  }
  return path;
}

// The index of the last point at or before x; -1 where there is none.
function lastBefore(xs, x) {
  let low = 0;
  let high = xs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
