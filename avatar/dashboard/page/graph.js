// Latency of the last two minutes, one column a second.

const KEPT_S = 120;
const LOWEST_TOP_MS = 80;

/** Paint `seconds` of {p50_ms, p99_ms, drops} on a canvas, and say in its label what it shows. */
export function paintGraph(canvas, seconds) {
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(name);
  const ratio = devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  const recent = seconds.slice(-KEPT_S);
  const top = Math.max(LOWEST_TOP_MS, ...recent.map((second) => second.p99_ms)) * 1.15;
  const step = width / KEPT_S;
  const x = (index) => width - (recent.length - index - 0.5) * step;
  const y = (ms) => height - (ms / top) * height;

  pen.font = `${11 * ratio}px system-ui`;
  pen.textBaseline = "bottom";
  const mark = top > 400 ? 200 : top > 160 ? 100 : 40;
  for (let ms = mark; ms < top; ms += mark) {
    pen.fillStyle = colour("--line");
    pen.fillRect(0, Math.round(y(ms)), width, ratio);
    pen.fillStyle = colour("--soft");
    if (y(ms) > 14 * ratio) pen.fillText(`${ms} ms`, 6 * ratio, y(ms));
  }
  pen.fillStyle = colour("--bad");
  recent.forEach((second, index) => second.drops > 0 && pen.fillRect(x(index) - step / 2, height - 5 * ratio, step, 5 * ratio));
  for (const [key, name, wide] of [["p99_ms", "--edge", 1], ["p50_ms", "--accent", 2]]) {
    pen.strokeStyle = colour(name);
    pen.lineWidth = wide * ratio;
    pen.lineJoin = "round";
    pen.beginPath();
    recent.forEach((second, index) => pen.lineTo(x(index), y(second[key])));
    pen.stroke();
  }
  const last = recent.at(-1);
  canvas.setAttribute(
    "aria-label",
    last
      ? `Latency over the last ${recent.length} seconds: now ${Math.round(last.p50_ms)} ms, at most ` +
          `${Math.round(Math.max(...recent.map((second) => second.p99_ms)))} ms`
      : "Latency over the last two minutes: nothing yet",
  );
}
