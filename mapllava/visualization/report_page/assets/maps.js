// The maps of all samples: unpacking them, and the traces that draw one.

const STEP = 100; // centimetres between places that answer to the pointer

// A class is told by its colour and its dashes; an area class is hatched, too.
function dashOf(kind) {
  return kind.dash.length ? kind.dash.map((length) => `${length}px`).join(",") : "solid";
}

// Plotly reads a few HTML tags in its texts; names come from files and stay what they are.
function harmless(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

async function unpack(element) {
  const packed = Uint8Array.from(atob(element.textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

class MapStore {
  constructor(elements, perChunk) {
    this.elements = elements;
    this.perChunk = perChunk;
    this.chunks = new Map();
  }

  // One sample: its token, true lines and the lines of each run.
  async sample(place) {
    const number = Math.floor(place / this.perChunk);
    if (!this.chunks.has(number)) {
      this.chunks.set(number, unpack(this.elements[number]).then(JSON.parse));
      if (this.chunks.size > 8) this.chunks.delete(this.chunks.keys().next().value);
    }
    const [token, truth, runs] = (await this.chunks.get(number))[place % this.perChunk];
    return { token, truth, runs };
  }
}

// Differences in centimetres to metres, with places in between, so that pointing anywhere at a line meets one.
function placesOf(deltas) {
  const x = [], y = [];
  let px = 0, py = 0;
  for (let k = 0; k < deltas.length; k += 2) {
    const dx = deltas[k], dy = deltas[k + 1];
    const pieces = k ? Math.min(200, Math.max(1, Math.ceil(Math.hypot(dx, dy) / STEP))) : 1;
    for (let piece = 1; piece <= pieces; piece++) {
      x.push((px + (dx * piece) / pieces) / 100);
      y.push((py + (dy * piece) / pieces) / 100);
    }
    px += dx;
    py += dy;
  }
  return { x, y };
}

function isRing({ x, y }) {
  const end = x.length - 1;
  return end >= 3 && Math.hypot(x[0] - x[end], y[0] - y[end]) < 0.5;
}

function lineText(kind, line, limit) {
  const length = `${(line[1] / 10).toFixed(1)} m long`;
  if (line.length === 3) return `<b>truth</b> ${harmless(kind.name)}<br>${length}`;
  const near = line[4] >= 0 ? `${(line[4] / 100).toFixed(2)} m to the nearest true line`
    : limit ? `no true line of its class within ${limit} m` : "";
  return [`<b>${harmless(kind.name)}</b> score ${line[3].toFixed(3)}`, length, near].filter(Boolean).join("<br>");
}

// The traces of one layer ("truth" or "prediction") in one panel: of each class its lines, and its filled rings.
function layerTraces(lines, layer, panel, data) {
  const limit = data.truth ? data.thresholds[data.thresholds.length - 1] : 0;
  const truth = layer === "truth";
  return data.classes.map((kind, label) => {
    const x = [], y = [], text = [], size = [];
    let rings = true;
    for (const line of lines) {
      if (line[0] !== label) continue;
      const places = placesOf(line[2]);
      rings &&= isRing(places);
      const told = lineText(kind, line, limit);
      places.x.forEach((value, k) => {
        x.push(value);
        y.push(places.y[k]);
        text.push(told);
        size.push(!truth && (k === 0 || k === places.x.length - 1) ? kind.ends : 0);
      });
      x.push(null);
      y.push(null);
      text.push("");
      size.push(0);
    }
    const trace = {
      type: "scatter", mode: truth ? "lines" : "lines+markers", x, y, text, hoverinfo: "text", hoveron: "points",
      meta: { layer, label }, showlegend: false, connectgaps: false,
      line: truth ? { color: kind.pale, width: kind.band } : { color: kind.color, width: kind.width, dash: dashOf(kind) },
      marker: { size, color: kind.color, opacity: 1, line: { width: 0 } },
      ...(panel ? { xaxis: "x2", yaxis: "y2" } : {}),
    };
    if (kind.area && rings && x.length) {
      trace.fill = "toself";
      trace.fillcolor = kind.pale + "50";
      if (!truth) trace.fillpattern = { shape: "/", fgcolor: kind.color, bgcolor: "rgba(0,0,0,0)", size: 7, solidity: 0.15 };
    }
    return trace;
  });
}
