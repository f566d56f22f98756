// What the reader does: choosing a sample, layers and the lowest score; charts are drawn when they come into sight.

const byId = (id) => document.getElementById(id);
const state = { order: [], at: 0, cuts: [], sample: null };
const PER_CHUNK = 64;
const MARGIN = 2; // metres around the region
let store;
let showing = 0; // the latest wish for a sample; older ones that arrive late are dropped

function trouble(text) {
  byId("trouble").hidden = false;
  byId("trouble").textContent = text;
}

async function loadPlotly() {
  const script = document.createElement("script");
  script.textContent = await unpack(byId("plotly"));
  document.head.append(script);
  if (!window.Plotly) throw new Error("the charts' library did not start");
}

function wholeView() {
  const [[left, back], [right, front]] = data.region;
  return { x: [left - MARGIN, right + MARGIN], y: [back - MARGIN, front + MARGIN] };
}

function car(panel) {
  const [back, front, side] = [-0.9 - data.ahead, 3.2 - data.ahead, 0.9];
  const n = panel ? panel + 1 : "";
  const path = `M${-side},${back}L${side},${back}L${side},${front - 0.7}L0.5,${front}L-0.5,${front}L${-side},${front - 0.7}Z`;
  return { type: "path", path, xref: `x${n}`, yref: `y${n}`, fillcolor: data.style.car, line: { width: 0 }, layer: "between" };
}

function region(panel) {
  const n = panel ? panel + 1 : "", [[x0, y0], [x1, y1]] = data.region;
  return { type: "rect", x0, y0, x1, y1, xref: `x${n}`, yref: `y${n}`, line: { color: MUTED, width: 1 }, layer: "below" };
}

function mapLayout() {
  const view = byId("map").layout ? viewed() : wholeView(), count = data.runs.length, axes = {};
  data.runs.forEach((_, panel) => {
    const n = panel ? panel + 1 : "";
    axes[`xaxis${n}`] = axis("right of the car, m", {
      domain: share(panel, count), range: view.x, constrain: "range", zeroline: false,
      ...(panel ? { matches: "x" } : { scaleanchor: "y" }),
    });
    axes[`yaxis${n}`] = axis(panel ? "" : "ahead of the car, m", {
      range: view.y, anchor: `x${n}`, constrain: "range", zeroline: false, ...(panel ? { matches: "y" } : {}),
    });
  });
  return layout({
    ...axes, height: 720, margin: { l: 60, r: 16, t: 52, b: 48 }, dragmode: "pan", hovermode: "closest", hoverdistance: 14,
    shapes: data.runs.flatMap((_, panel) => [region(panel), car(panel)]),
    annotations: count > 1 ? data.runs.map((run, panel) => heading(run.letter, middle(share(panel, count)))) : [],
  });
}

function layersOn() {
  return new Set([...byId("layers").querySelectorAll("input:checked")].map((box) => box.value));
}

function drawnLines(lines, run) {
  const on = layersOn();
  return lines.filter(([label, , , score]) => {
    const cut = state.cuts[run]?.[label];
    return on.has(String(label)) && (score === undefined || (cut !== null && score >= cut));
  });
}

function drawMap() {
  if (!state.sample || !window.Plotly) return;
  const on = layersOn(), { truth, runs } = state.sample, counts = [];
  const traces = runs.flatMap((lines, run) => {
    const drawn = drawnLines(lines, run);
    counts.push(`${runs.length > 1 ? data.runs[run].letter + " draws" : "drawn"} ${drawn.length}`);
    return [
      ...(on.has("truth") ? layerTraces(drawnLines(truth, -1), "truth", run, data) : []),
      ...(on.has("prediction") ? layerTraces(drawn, "prediction", run, data) : []),
    ];
  });
  describe(counts);
  return Plotly.react(byId("map"), traces, mapLayout(), { ...CONFIG, scrollZoom: true });
}

function describe(counts) {
  const place = state.order[state.at], scene = sceneOf(place), parts = [];
  if (scene[0]) parts.push(scene[1] ? `${scene[0]} (${scene[1]})` : scene[0]);
  parts.push(`sample ${state.sample.token}`);
  if (data.truth) parts.push(`${state.sample.truth.length} true lines`);
  data.samples.scores.forEach((scores, run) => {
    const score = scores?.[place];
    const known = score === null || score === undefined ? "" : `, score ${Math.round(100 * score)} %`;
    parts.push(`${counts[run]}${known}`);
  });
  byId("sample").textContent = parts.join(" · ");
  byId("map").setAttribute("aria-label", `Map seen from above: ${parts.join(", ")}`);
}

function sceneOf(place) {
  let rest = place;
  for (const scene of data.samples.scenes) {
    if (rest < scene[2]) return scene;
    rest -= scene[2];
  }
  return ["", "", 0];
}

async function show(at) {
  state.at = Math.max(0, Math.min(state.order.length - 1, at));
  const wish = ++showing;
  const sample = await store.sample(state.order[state.at]);
  if (wish !== showing) return;
  state.sample = sample;
  byId("place").value = state.at + 1;
  byId("previous").disabled = state.at === 0;
  byId("next").disabled = state.at === state.order.length - 1;
  byId("scene").value = String(data.samples.scenes.indexOf(sceneOf(state.order[state.at])));
  await drawMap();
}

function setOrder(name, place) {
  const all = Array.from({ length: data.samples.scenes.reduce((sum, scene) => sum + scene[2], 0) }, (_, k) => k);
  const [how, run] = name.split(" ");
  if (how !== "time") {
    const scores = data.samples.scores[Number(run)], sign = how === "best" ? -1 : 1;
    all.sort((a, b) => (scores[a] === null) - (scores[b] === null) || sign * (scores[a] - scores[b]) || a - b);
  }
  state.order = all;
  return show(place === undefined ? 0 : all.indexOf(place));
}

function setCuts(score) {
  state.cuts = data.runs.map((run) => score === null ? run.cuts : data.classes.map(() => score));
  const named = (run) => data.classes.map((kind, k) => `${kind.name} ${run.cuts[k] === null ? "never" : run.cuts[k].toFixed(2)}`).join(", ");
  byId("score-now").textContent = score === null ? "by class" : `${score.toFixed(2)} or more`;
  byId("cuts").textContent = score !== null ? "one for all classes"
    : data.runs.map((run) => (data.runs.length > 1 ? `${run.letter}: ` : "") + `${named(run)} (${run.chosenBy})`).join("; ");
  if (score === null) {
    const known = data.runs[0].cuts.filter((cut) => cut !== null);
    byId("score").value = known.length ? Math.min(...known) : data.scores[0];
  }
}

async function look({ x, y }) {
  const change = {};
  data.runs.forEach((_, panel) => {
    const n = panel ? panel + 1 : "";
    Object.assign(change, { [`xaxis${n}.range`]: [...x], [`yaxis${n}.range`]: [...y] });
  });
  await Plotly.relayout(byId("map"), change);
}

function zoom(factor) {
  const around = ([low, high]) => [(low + high) / 2 - ((high - low) * factor) / 2, (low + high) / 2 + ((high - low) * factor) / 2];
  return look({ x: around(viewed().x), y: around(viewed().y) });
}

function pan(across, along) {
  const { x, y } = viewed(), step = 0.1 * (y[1] - y[0]);
  return look({ x: x.map((value) => value + across * step), y: y.map((value) => value + along * step) });
}

// What is in sight, which the next sample keeps.
function viewed() {
  const { xaxis, yaxis } = byId("map").layout;
  return { x: xaxis.range, y: yaxis.range };
}

function fillControls() {
  data.samples.scenes.forEach(([name, location, count], k) => {
    byId("scene").append(new Option(`${name || "no scene"}${location ? ", " + location : ""} (${count})`, k));
  });
  data.runs.forEach((run, r) => {
    if (!data.samples.scores[r]) return;
    const whose = data.runs.length > 1 ? ` (${run.letter})` : "";
    byId("order").append(new Option(`worst first${whose}`, `worst ${r}`), new Option(`best first${whose}`, `best ${r}`));
  });
  Object.assign(byId("score"), { min: data.scores[0], max: data.scores[1], step: (data.scores[1] - data.scores[0]) / 200 });
  for (const swatch of document.querySelectorAll(".swatch")) {
    const label = Number(swatch.dataset.class), kind = data.classes[label];
    swatch.querySelector(".band").setAttribute("style", `stroke: ${kind.pale}; stroke-width: ${kind.band}`);
    swatch.querySelector(".line").setAttribute("style",
      `stroke: ${kind.color}; stroke-width: ${kind.width}; stroke-dasharray: ${kind.dash.join(",") || "none"}`);
  }
}

function listen() {
  const on = (id, kind, does) => byId(id).addEventListener(kind, does);
  on("controls", "submit", (event) => event.preventDefault());
  on("previous", "click", () => show(state.at - 1));
  on("next", "click", () => show(state.at + 1));
  on("place", "change", (event) => show(Number(event.target.value) - 1));
  on("order", "change", (event) => setOrder(event.target.value));
  on("scene", "change", (event) => {
    const first = data.samples.scenes.slice(0, Number(event.target.value)).reduce((sum, scene) => sum + scene[2], 0);
    show(state.order.indexOf(first));
  });
  on("layers", "change", drawMap);
  on("score", "input", (event) => { setCuts(Number(event.target.value)); drawMap(); });
  on("best-cuts", "click", () => { setCuts(null); drawMap(); });
  on("closer", "click", () => zoom(0.7));
  on("farther", "click", () => zoom(1 / 0.7));
  on("whole", "click", () => look(wholeView()));
  on("map", "keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (moves[event.key]) pan(...moves[event.key]);
    else if (event.key === "+") zoom(0.7);
    else if (event.key === "-") zoom(1 / 0.7);
    else return;
    event.preventDefault();
  });
  for (const button of document.querySelectorAll("button[data-place]")) {
    button.addEventListener("click", () => {
      byId("order").value = "time";
      setOrder("time", Number(button.dataset.place));
      byId("viewer").scrollIntoView();
    });
  }
}

// Charts by the id of their place; each is drawn when it is nearly in sight, or before printing.
function charts() {
  const row = () => Number(byId("threshold")?.value ?? 0);
  const makers = new Map();
  if (data.truth) {
    makers.set("curves", () => curves());
    makers.set("reliability", () => reliability(row()));
    for (const key of Object.keys(data.runs[0].rates)) makers.set(`rates-${key}`, () => rates(key, row()));
  }
  const drawn = new Set();
  const draw = (id) => {
    drawn.add(id);
    const [traces, look] = makers.get(id)();
    return Plotly.react(byId(id), traces, look, CONFIG);
  };
  const watcher = new IntersectionObserver((seen) => {
    for (const { isIntersecting, target } of seen) if (isIntersecting && !drawn.has(target.id)) draw(target.id);
  }, { rootMargin: "300px" });
  const there = [...makers.keys()].filter((id) => byId(id));
  there.forEach((id) => watcher.observe(byId(id)));
  byId("threshold")?.addEventListener("change", () => [...drawn].filter((id) => id !== "curves").forEach(draw));
  window.addEventListener("beforeprint", () => there.filter((id) => !drawn.has(id)).forEach(draw));
}

async function start() {
  if (!window.DecompressionStream) {
    trouble("This browser is too old for the charts and maps (it lacks DecompressionStream); the tables are complete.");
    return;
  }
  try {
    fillControls();
    setCuts(null);
    listen();
    await loadPlotly();
    store = new MapStore([...document.querySelectorAll("script.maps")], PER_CHUNK);
    await setOrder("time");
    charts();
    document.documentElement.dataset.ready = "yes";
  } catch (error) {
    trouble(`Charts and maps could not be drawn: ${error.message}`);
    throw error;
  }
}

// The words are painted first.
document.addEventListener("DOMContentLoaded", () => requestAnimationFrame(() => setTimeout(start)));
