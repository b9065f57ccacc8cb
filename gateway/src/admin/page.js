// The live page: fetches /status every second and draws what has changed. Uses no other data.
"use strict";

const POLL_MS = 1000;
const SAMPLES_MAX = 120;   // two minutes
const WINDOW = 10;         // rates and percentiles are of the last ten seconds
const samples = [];        // answers of /status, the last at the end
const points = [];         // {rate, failed, p50, p99} of each poll

const byId = (id) => document.getElementById(id);
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

function count(route, wanted = () => true) {
  return sum(Object.entries(route.statuses).filter(([status]) => wanted(status)).map(([, n]) => n));
}
const isClass = (digit) => (status) => status[0] === digit;

// The counters of a route start again at zero after a restart.
const since = (now, before) => (now >= before ? now - before : now);
const keyOf = (route) => `${route.route}\n${route.upstream}`;

function before(sample, route) {
  return sample.routes.find((other) => keyOf(other) === keyOf(route));
}

// The counts of each latency bucket since a sample.
function bucketsSince(route, old) {
  return route.latency.map(([bound, n], i) => [bound, old ? since(n, old.latency[i][1]) : n]);
}

function merged(all) {
  return all.length ? all[0].map(([bound], i) => [bound, sum(all.map((one) => one[i][1]))]) : [];
}

// The duration that a share of the requests stayed below, interpolated inside its bucket; in seconds.
function percentile(buckets, share) {
  const wanted = sum(buckets.map(([, n]) => n)) * share;
  if (wanted === 0) return null;
  let seen = 0, lower = 0;
  for (const [bound, n] of buckets) {
    if (n > 0 && seen + n >= wanted) {
      return bound === null ? lower : lower + (bound - lower) * (wanted - seen) / n;
    }
    seen += n;
    if (bound !== null) lower = bound;
  }
  return lower;
}

function duration(seconds) {
  if (seconds === null) return "–";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${(seconds * 1e3).toPrecision(3)} ms`;
  return `${seconds.toPrecision(3)} s`;
}
const rate = (perSecond) => (perSecond === 0 ? "0" : perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond).toLocaleString("en"));
const whole = (n) => n.toLocaleString("en");

function cell(text, className = "") {
  const td = document.createElement("td");
  td.textContent = text;
  td.className = className;
  return td;
}
const number = (n, shown, alarming) => cell(shown, n === 0 ? "n zero" : alarming ? "n bad" : "n");

function fill(id, rows, none) {
  const body = document.querySelector(`#${id} tbody`);
  if (rows.length === 0) {
    const empty = cell(none, "none");
    empty.colSpan = 10;
    rows = [[empty]];
  }
  body.replaceChildren(...rows.map((cells) => {
    const tr = document.createElement("tr");
    tr.append(...cells);
    return tr;
  }));
}

function routeRow(route, old, seconds) {
  const total = count(route), broken = count(route, isClass("5")), refused = count(route, isClass("4"));
  const perSecond = seconds > 0 ? since(total, old ? count(old) : 0) / seconds : 0;
  const recent = bucketsSince(route, old);
  const buckets = percentile(recent, 0.5) === null ? route.latency : recent;
  return [
    cell(route.route), cell(route.upstream), cell(route.auth), number(perSecond, rate(perSecond)),
    number(total, whole(total)), number(refused, whole(refused)), number(broken, whole(broken), true),
    number(total, duration(percentile(buckets, 0.5))), number(total, duration(percentile(buckets, 0.99))),
    number(route.in_flight, whole(route.in_flight)),
  ];
}

function targetCells(target) {
  const [state, className] = target.health === "unhealthy" ? ["down", "bad"]
    : target.breaker !== "closed" ? [`breaker ${target.breaker.replace("_", " ")}`, "bad"]
    : target.health === "healthy" ? ["up", "good"] : ["not checked", "none"];
  return [
    cell(target.address, "id"), cell(state, className), number(target.in_flight, whole(target.in_flight)),
    number(target.requests, whole(target.requests)), number(target.failures, whole(target.failures), true),
  ];
}

function upstreamRows(upstream) {
  const failures = Object.entries(upstream.failures).filter(([, n]) => n > 0);
  const failed = failures.map(([kind, n]) => `${kind.replaceAll("_", " ")} ${whole(n)}`).join(", ");
  const room = `${whole(upstream.in_flight)} of ${whole(upstream.max_in_flight)}`;
  return upstream.targets.map((target, index) => [
    cell(index === 0 ? upstream.upstream : ""), ...targetCells(target),
    ...(index === 0 ? [
      number(upstream.in_flight, room), number(upstream.refused, whole(upstream.refused), true),
      number(upstream.retries, whole(upstream.retries)), cell(failed || "none", failed ? "bad" : "none"),
    ] : [cell(""), cell(""), cell(""), cell("")]),
  ]);
}

function errorRow(error) {
  return [
    cell(new Date(error.time).toLocaleTimeString("en-GB")), cell(String(error.status), error.status >= 500 ? "n bad" : "n"),
    cell(error.code ?? "from the upstream"), cell(error.request), cell(error.route), cell(error.request_id, "id"),
  ];
}

function element(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// Two lines over two minutes; the newest point is at the right edge.
function plot(id, lines, show) {
  const [width, height] = [600, 160];
  const highest = Math.max(...lines.flat().filter((y) => y !== null), 0);
  const max = highest || 1;
  const x = (index, length) => width - (length - 1 - index) * (width / (SAMPLES_MAX - 1));
  const y = (value) => height - 4 - (value / (max * 1.1)) * (height - 8);
  const svg = byId(id);
  svg.replaceChildren(...[0.25, 0.5, 0.75].map((part) =>
    element("line", { class: "grid", x1: 0, x2: width, y1: height * part, y2: height * part })));
  lines.forEach((line, index) => {
    const drawn = line.map((value, i) => (value === null ? null : `${x(i, line.length).toFixed(1)},${y(value).toFixed(1)}`));
    const path = drawn.filter((point) => point !== null);
    if (path.length === 0) return;
    if (index === 0) {
      const [from, to] = [path[0].split(",")[0], path.at(-1).split(",")[0]];
      svg.append(element("polygon", { class: "area", points: `${from},${height} ${path.join(" ")} ${to},${height}` }));
    }
    svg.append(element("polyline", { class: `line-${index + 1}`, points: path.join(" ") }));
  });
  byId(`${id}-max`).textContent = highest ? `highest ${show(highest)}` : "";
}

function draw(now) {
  const then = samples.length > 1 ? samples[Math.max(0, samples.length - 1 - WINDOW)] : null;
  const last = samples.length > 1 ? samples[samples.length - 2] : null;
  const seconds = then ? now.now - then.now : 0;
  const routes = now.routes;
  const total = sum(routes.map((route) => count(route)));
  const broken = sum(routes.map((route) => count(route, isClass("5"))));
  const all = (sample, wanted) => sum(sample.routes.map((route) => count(route, wanted)));

  if (last) {
    const step = now.now - last.now;
    const recent = merged(routes.map((route) => bucketsSince(route, before(last, route))));
    points.push({
      rate: since(total, all(last)) / step, failed: since(broken, all(last, isClass("5"))) / step,
      p50: percentile(recent, 0.5), p99: percentile(recent, 0.99),
    });
    if (points.length > SAMPLES_MAX) points.shift();
  }
  const recent = merged(routes.map((route) => bucketsSince(route, then ? before(then, route) : undefined)));
  const buckets = percentile(recent, 0.5) === null ? merged(routes.map((route) => route.latency)) : recent;
  const perSecond = then ? since(total, all(then)) / seconds : 0;
  byId("rate").textContent = rate(perSecond);
  byId("failed").textContent = whole(broken);
  byId("failed").className = broken > 0 ? "bad" : "";
  byId("p50").textContent = duration(percentile(buckets, 0.5));
  byId("p99").textContent = duration(percentile(buckets, 0.99));
  byId("inflight").textContent = whole(sum(routes.map((route) => route.in_flight)));
  byId("total").textContent = whole(total);
  plot("rates", [points.map((p) => p.rate), points.map((p) => p.failed)], (max) => `${rate(max)}/s`);
  plot("latencies", [points.map((p) => p.p50), points.map((p) => p.p99)], duration);
  fill("routes", routes.map((route) => routeRow(route, then && before(then, route), seconds)), "no routes");
  fill("upstreams", now.upstreams.flatMap(upstreamRows), "no upstreams");
  fill("errors", now.errors.map(errorRow), "no errors so far");
  state(now);
}

function state(now) {
  const hash = now.reload.config_hash;
  const reloaded = new Date(now.reload.in_force_since).toLocaleString("en-GB");
  byId("build").textContent = `${now.version} · configuration ${hash || "embedded"} since ${reloaded}`;
  byId("state").textContent = now.draining ? "draining" : "serving";
  byId("state").className = now.draining ? "bad" : "";
  byId("refused").hidden = now.reload.mistakes.length === 0;
  byId("mistakes").textContent = now.reload.mistakes.join("\n\n");
}

async function poll() {
  try {
    const answer = await fetch("/status");
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const now = await answer.json();
    samples.push(now);
    if (samples.length > SAMPLES_MAX) samples.shift();
    draw(now);
  } catch (error) {
    byId("state").textContent = `no answer: ${error.message}`;
    byId("state").className = "bad";
  }
  setTimeout(poll, POLL_MS);
}

poll();
