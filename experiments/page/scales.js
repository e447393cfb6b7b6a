// Scales: from values to evenly drawn units and back, their ticks, and how numbers are written.

const LINEAR = { kind: "linear", to: (v) => v, from: (u) => u };
const LOG = { kind: "log", to: (v) => (v > 0 ? Math.log10(v) : NaN), from: (u) => 10 ** u };

// Logarithmic down to the smallest positive value, and linear from there to zero and below.
function symlog(threshold) {
  const to = (v) => {
    const size = Math.abs(v) / threshold;
    return Math.sign(v) * (size <= 1 ? size : 1 + Math.log10(size));
  };
  const from = (u) => {
    const size = Math.abs(u);
    return Math.sign(u) * threshold * (size <= 1 ? size : 10 ** (size - 1));
  };
  return { kind: "symlog", threshold, to, from };
}

// The scale for these values, and why it is not the one that was wanted, where it is not.
function scaleFor(values, log) {
  if (!log) return [LINEAR, ""];
  let least = Infinity;
  let positive = Infinity;
  let most = -Infinity;
  for (const v of values) {
    least = Math.min(least, v);
    most = Math.max(most, v);
    if (v > 0) positive = Math.min(positive, v);
  }
  if (least > 0 || least === Infinity) return [LOG, ""];
  if (most <= 0 || least < -1e-6 * most) {
    return [LINEAR, "Some values are below 0, so the axis is linear."];
  }
  const threshold = 10 ** Math.floor(Math.log10(positive));
  return [symlog(threshold), `Some values are 0: below ${short(threshold)} the axis is linear.`];
}

// Values to be marked between two ends, given in units of the scale.
function ticks(scale, low, high, count) {
  if (scale.kind === "linear") return evenTicks(low, high, count);
  if (scale.kind === "log") return decades(scale, low, high, count);
  const start = Math.log10(scale.threshold);
  const logs = decades(LOG, start + Math.max(low, 1) - 1, start + high - 1, count);
  const found = high > 1 ? logs : [scale.threshold];
  return [0, ...found].filter((v) => scale.to(v) >= low - 1e-9 && scale.to(v) <= high + 1e-9);
}

function decades(scale, low, high, count) {
  const first = Math.ceil(low - 1e-9);
  const last = Math.floor(high + 1e-9);
  if (last - first < 1) {
    const span = (high - low) / Math.log10(2); // few enough doublings: 1, 2, 5 or even steps
    if (span < 1.5) return evenTicks(scale.from(low), scale.from(high), count);
  }
  if (last - first < 2) {
    const found = [];
    for (let k = first - 1; k <= last; k++) {
      for (const m of [1, 2, 5]) found.push(m * 10 ** k);
    }
    return found.filter((v) => scale.to(v) >= low - 1e-9 && scale.to(v) <= high + 1e-9);
  }
  const stride = Math.ceil((last - first + 1) / count);
  const found = [];
  for (let k = Math.ceil(first / stride) * stride; k <= last; k += stride) found.push(10 ** k);
  return found;
}

function evenTicks(low, high, count) {
  const raw = (high - low) / Math.max(count, 1);
  if (!(raw > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= raw * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    found.push(Number((i * step).toPrecision(12)));
  }
  return found;
}

// How the ticks of an axis are written: all of them alike.
function tickLabels(values) {
  const sizes = values.filter((v) => v !== 0).map((v) => Math.abs(v));
  const largest = Math.max(...sizes, 0);
  const smallest = Math.min(...sizes, Infinity);
  const powers = sizes.every((v) => Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-9);
  if (powers && (largest >= 1e6 || smallest < 1e-3)) return values.map(powerOfTen);
  if (largest < 1e7 && smallest >= 1e-4) {
    return values.map((v) => v.toLocaleString("en", { maximumSignificantDigits: 8 }));
  }
  return values.map((v) => short(v, 6));
}

function powerOfTen(v) {
  if (v === 0) return "0";
  const signs = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
  const exponent = String(Math.round(Math.log10(Math.abs(v))));
  return (v < 0 ? "−10" : "10") + [...exponent].map((sign) => signs[sign]).join("");
}

// A number with a few significant digits.
function short(v, digits = 4) {
  if (v === null || !Number.isFinite(v)) return "–";
  const size = Math.abs(v);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) {
    const [mantissa, exponent] = v.toExponential(digits - 1).split("e");
    return `${Number(mantissa)}e${Number(exponent)}`.replaceAll("-", "−");
  }
  const shown = size >= 10 ** digits ? Math.round(v) : Number(v.toPrecision(digits));
  return shown.toLocaleString("en", { maximumSignificantDigits: 12 }).replace("-", "−");
}
