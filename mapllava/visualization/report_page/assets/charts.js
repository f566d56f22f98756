// The charts of a page: layouts for Plotly, from the numbers that the page carries.

const data = JSON.parse(document.getElementById("data").textContent);
const { ink: INK, muted: MUTED, grid: GRID, paper: PAPER, runs: RUN_COLORS } = data.style;
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star"];
const RUN_PATTERNS = ["", "/"];
// Without showSendToCloud: false, a button would upload the chart to Plotly's servers.
const CONFIG = { displaylogo: false, responsive: true, showSendToCloud: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };

function axis(title, more = {}) {
  return {
    title: { text: title, font: { size: 13 } }, gridcolor: GRID, zerolinecolor: GRID, linecolor: MUTED, showline: true,
    ticks: "outside", tickcolor: MUTED, automargin: true, ...more,
  };
}

function layout(more) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 60, r: 16, t: 36, b: 48 },
    font: { family: "system-ui, 'Segoe UI', Roboto, 'Noto Sans', sans-serif", size: 13, color: INK },
    hoverlabel: { bgcolor: PAPER, bordercolor: MUTED, font: { color: INK }, align: "left" },
    modebar: { bgcolor: "rgba(255,255,255,0.85)", color: MUTED, activecolor: INK },
    legend: { orientation: "h", y: -0.22, x: 0 }, ...more,
  };
}

function heading(text, x, y = 1) {
  return { text, x, y, xref: "paper", yref: "paper", xanchor: "center", yanchor: "bottom", showarrow: false, font: { size: 14 } };
}

// Ends of a panel among several beside each other.
function share(index, count, gap = 0.07) {
  const width = (1 - gap * (count - 1)) / count;
  return [index * (width + gap), index * (width + gap) + width];
}

function middle([low, high]) {
  return (low + high) / 2;
}

function curves() {
  const traces = [], axes = {}, headings = [], count = data.thresholds.length;
  data.thresholds.forEach((threshold, row) => {
    const n = row ? row + 1 : "", domain = share(row, count);
    axes[`xaxis${n}`] = axis("recall", { domain, range: [0, 1.01], dtick: 0.25 });
    axes[`yaxis${n}`] = axis(row ? "" : "precision", { anchor: `x${n}`, range: [0, 1.02], dtick: 0.25 });
    headings.push(heading(`within ${threshold} m`, middle(domain)));
    data.runs.forEach((run, r) => data.classes.forEach((kind, label) => {
      const curve = run.curves[row][label];
      traces.push({
        type: "scatter", mode: "lines+markers", x: curve.precision.map((_, k) => k / 100), y: curve.precision,
        xaxis: `x${n}`, yaxis: `y${n}`, legendgroup: `${r} ${label}`, showlegend: row === 0,
        name: harmless(data.runs.length > 1 ? `${run.letter} ${kind.name}` : kind.name),
        line: { color: kind.color, width: 2, dash: r ? "dot" : "solid" },
        marker: { symbol: SYMBOLS[label % SYMBOLS.length] + (r ? "-open" : ""), size: 7, color: kind.color, maxdisplayed: 9 },
        hoverinfo: "text",
        text: curve.precision.map((value, k) => value === null ? "" : `${run.letter} ${harmless(kind.name)}<br>recall ${k} %, ` +
          `precision ${(100 * value).toFixed(1)} %<br>from score ${curve.score[k]}`),
      });
    }));
  });
  return [traces, layout({ ...axes, annotations: headings, height: 400, margin: { l: 60, r: 16, t: 64, b: 48 } })];
}

const PANELS = [["recall", "found, %", 100], ["precision", "right, %", 100], ["error", "error, m", 1]];

// Found, right and error beside each other: bars for a few groups, dots for many.
function rates(key, row) {
  const traces = [], axes = {}, first = data.runs[0].rates[key], many = first.names.length > 16;
  PANELS.forEach(([name, title, factor], panel) => {
    const n = panel ? panel + 1 : "";
    axes[`xaxis${n}`] = axis("", {
      domain: share(panel, 3), type: "category", showticklabels: !many, showgrid: false,
      title: { text: many ? `${first.names.length} groups, in the order of the set` : "" },
    });
    axes[`yaxis${n}`] = axis(title, { anchor: `x${n}`, rangemode: "tozero", ...(factor === 100 ? { range: [0, 101] } : {}) });
    data.runs.forEach((run, r) => {
      const group = run.rates[key], values = group[name][row].map((v) => v === null ? null : factor * v);
      const unit = group.unit === "m" ? "m of line" : "lines", counts = name === "precision" ? group.num_pred : group.num_gt;
      traces.push({
        type: many ? "scatter" : "bar", mode: "markers", x: group.names.map(harmless), y: values, xaxis: `x${n}`, yaxis: `y${n}`,
        name: run.letter, legendgroup: run.letter, showlegend: panel === 0 && data.runs.length > 1, hoverinfo: "text",
        text: values.map((v, k) => `${run.letter} ${harmless(group.names[k])}<br>${title.split(",")[0]} ` +
          `${v === null ? "–" : v.toFixed(factor === 1 ? 2 : 1)} ${factor === 1 ? "m" : "%"}<br>of ${Math.round(counts[k])} ${unit}`),
        textposition: "none",
        marker: { color: RUN_COLORS[r], symbol: SYMBOLS[r], size: 7, ...(many ? {} : { pattern: { shape: RUN_PATTERNS[r], solidity: 0.4 } }) },
      });
    });
  });
  return [traces, layout({
    ...axes, height: data.runs.length > 1 ? 330 : 300, barmode: "group", bargap: 0.25,
    legend: { orientation: "h", x: 0, y: 1.04, yanchor: "bottom" },
  })];
}

function reliability(row) {
  const traces = [], axes = {}, headings = [], shapes = [];
  const shown = data.runs.filter((run) => run.reliability);
  shown.forEach((run, r) => {
    const top = r ? 2 * r + 1 : "", low = 2 * r + 2, domain = share(r, shown.length, 0.1);
    axes[`xaxis${top}`] = axis("", { domain, range: [0, 1], anchor: `y${top}` });
    axes[`yaxis${top}`] = axis("share that is right", { domain: [0.36, 1], range: [0, 1.02], anchor: `x${top}` });
    axes[`xaxis${low}`] = axis("score", { domain, range: [0, 1], anchor: `y${low}` });
    axes[`yaxis${low}`] = axis("lines", { domain: [0, 0.24], type: "log", anchor: `x${low}`, dtick: 1 });
    shapes.push({ type: "line", xref: `x${top}`, yref: `y${top}`, x0: 0, y0: 0, x1: 1, y1: 1, line: { color: MUTED, dash: "dash", width: 1 } });
    if (shown.length > 1) headings.push(heading(run.letter, middle(domain)));
    run.reliability.parts.forEach((part, k) => {
      const kind = k ? data.classes[k - 1] : { name: "all classes", color: INK };
      const error = part.ece[row] === null ? "–" : `${(100 * part.ece[row]).toFixed(1)} %`;
      traces.push({
        type: "scatter", mode: "lines+markers", x: part.mean_score, y: part.share_found[row], xaxis: `x${top}`, yaxis: `y${top}`,
        name: `${shown.length > 1 ? run.letter + " " : ""}${harmless(kind.name)} (ECE ${error})`, hoverinfo: "text",
        text: part.count.map((count, b) => `${harmless(kind.name)}, ${count} lines<br>mean score ${part.mean_score[b]}<br>right ${part.share_found[row][b]}`),
        line: { color: kind.color, width: k ? 1.5 : 3 }, marker: { symbol: SYMBOLS[k % SYMBOLS.length], size: 8, color: kind.color },
      });
    });
    const whole = run.reliability.parts[0];
    traces.push({
      type: "bar", x: whole.count.map((_, b) => (whole.edges[b] + whole.edges[b + 1]) / 2), y: whole.count, xaxis: `x${low}`, yaxis: `y${low}`,
      marker: { color: MUTED }, showlegend: false, hoverinfo: "text", text: whole.count.map(String), textposition: "none",
    });
  });
  return [traces, layout({ ...axes, shapes, annotations: headings, height: 500, bargap: 0.05, legend: { orientation: "h", y: -0.12, x: 0 } })];
}
