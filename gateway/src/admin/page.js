// The live page: fetches /status every second and /history once in its interval, and draws them. Uses no other data.
"use strict";

const POLL_MS = 1000;
const WINDOW = 10;         // rates and percentiles are of the last ten seconds
const HISTORY_SECONDS = 15 * 60;
const samples = [];        // the last answers of /status, the newest at the end

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

// The first cell of a row names it.
function heading(text) {
  const th = document.createElement("th");
  th.textContent = text;
  th.scope = "row";
  th.setAttribute("role", "rowheader");
  return th;
}

function fill(id, rows, none) {
  const columns = [...document.querySelectorAll(`#${id} thead th`)].map((th) => th.textContent);
  if (rows.length === 0) {
    const empty = cell(none, "none");
    empty.colSpan = columns.length;
    rows = [[empty]];
  }
  document.querySelector(`#${id} tbody`).replaceChildren(...rows.map((cells) => {
    const tr = document.createElement("tr");
    tr.setAttribute("role", "row");
    cells.forEach((one, index) => {
      if (one.tagName !== "TD") return;
      one.setAttribute("role", "cell");
      if (one.colSpan === 1) one.dataset.column = columns[index];
    });
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
    heading(route.route), cell(route.upstream), cell(route.auth, "long"), number(perSecond, rate(perSecond)),
    number(total, whole(total)), number(route.own, whole(route.own)), number(refused, whole(refused)), number(broken, whole(broken), true),
    number(total - route.own, duration(percentile(buckets, 0.5))), number(total - route.own, duration(percentile(buckets, 0.99))),
    number(route.in_flight, whole(route.in_flight)),
  ];
}

function targetCells(target) {
  const [state, className] = target.health === "unhealthy" ? ["down", "bad"]
    : target.breaker !== "closed" ? [`breaker ${target.breaker.replace("_", " ")}`, "bad"]
    : target.health === "healthy" ? ["up", "good"] : ["not checked", "none"];
  return [
    cell(state, className), number(target.in_flight, whole(target.in_flight)),
    number(target.requests, whole(target.requests)), number(target.failures, whole(target.failures), true),
  ];
}

function upstreamRows(upstream) {
  const failures = Object.entries(upstream.failures).filter(([, n]) => n > 0);
  const failed = failures.map(([kind, n]) => `${kind.replaceAll("_", " ")} ${whole(n)}`).join(", ");
  const room = `${whole(upstream.in_flight)} of ${whole(upstream.max_in_flight)}`;
  return upstream.targets.map((target, index) => [
    heading(target.address), cell(upstream.upstream), ...targetCells(target),
    ...(index === 0 ? [
      cell(room, upstream.in_flight === 0 ? "n zero long" : "n long"), number(upstream.refused, whole(upstream.refused), true),
      number(upstream.retries, whole(upstream.retries)), cell(failed || "none", failed ? "bad long" : "none long"),
    ] : [cell(""), cell(""), cell(""), cell("")]),
  ]);
}

function errorRow({ count, last }) {
  return [
    heading(last.route), cell(String(last.status), last.status >= 500 ? "n bad" : "n"),
    cell(last.code ?? "from the upstream", "long"), number(count, whole(count)),
    cell(new Date(last.time).toLocaleTimeString("en-GB")), cell(last.request, "long"), cell(last.request_id, "id long"),
  ];
}

function errors() {
  const groups = samples.at(-1)?.errors ?? [];
  const text = byId("text").value.trim().toLowerCase();
  const shown = groups.filter(({ last }) => String(last.status).startsWith(byId("class").value) &&
    [last.route, last.code, last.request, last.request_id].some((part) => part?.toLowerCase().includes(text) ?? text === ""));
  fill("errors", shown.map(errorRow), groups.length ? "no such errors" : "no errors so far");
  byId("shown").textContent = groups.length ? `${shown.length} of ${groups.length} kinds` : "";
}

function element(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// Lines over the last 15 minutes: `times` are seconds before now, and each line has a value or null for each of them.
function plot(id, times, lines, show) {
  const [width, height] = [600, 160];
  const highest = Math.max(...lines.flat().filter((y) => y !== null), 0);
  const max = highest || 1;
  const x = (index) => width * (1 - times[index] / HISTORY_SECONDS);
  const y = (value) => height - 4 - (value / (max * 1.1)) * (height - 8);
  const svg = byId(id);
  svg.replaceChildren(...[0.25, 0.5, 0.75].map((part) =>
    element("line", { class: "grid", x1: 0, x2: width, y1: height * part, y2: height * part })));
  lines.forEach((line, index) => {
    const drawn = line.map((value, i) => (value === null ? null : `${x(i).toFixed(1)},${y(value).toFixed(1)}`));
    const path = drawn.filter((point) => point !== null);
    if (path.length === 1) path.push(path[0]);   // a dot
    if (path.length === 0) return;
    if (index === 0) {
      const [from, to] = [path[0].split(",")[0], path.at(-1).split(",")[0]];
      svg.append(element("polygon", { class: "area", points: `${from},${height} ${path.join(" ")} ${to},${height}` }));
    }
    svg.append(element("polyline", { class: `line-${index + 1}`, points: path.join(" ") }));
  });
  byId(`${id}-max`).textContent = highest ? `highest ${show(highest)}` : "";
  const latest = lines.map((line) => line.findLast((value) => value !== null));
  const caption = svg.closest("figure").querySelectorAll("figcaption i");
  const spoken = latest.map((value, i) => `${caption[i].textContent} ${value === undefined ? "none" : show(value)}`);
  svg.setAttribute("aria-label", `The last 15 minutes; now: ${spoken.join(", ")}; highest ${show(highest)}`);
}

function drawHistory({ points }) {
  const now = points.length ? points.at(-1).time : 0;
  const times = points.map((point) => now - point.time);
  const line = (name) => points.map((point) => point[name]);
  plot("rates", times, [line("rate"), line("failed"), line("own")], (value) => `${rate(value)}/s`);
  plot("latencies", times, [line("p50"), line("p99")], duration);
}

function draw(now) {
  const then = samples.length > 1 ? samples[0] : null;
  const seconds = then ? now.now - then.now : 0;
  const routes = now.routes;
  const all = (sample, wanted) => sum(sample.routes.map((route) => count(route, wanted)));
  const total = all(now), broken = all(now, isClass("5"));
  const recent = merged(routes.map((route) => bucketsSince(route, then ? before(then, route) : undefined)));
  const buckets = percentile(recent, 0.5) === null ? merged(routes.map((route) => route.latency)) : recent;
  byId("rate").textContent = rate(then ? since(total, all(then)) / seconds : 0);
  byId("failed").textContent = whole(broken);
  byId("failed").className = broken > 0 ? "bad" : "";
  byId("p50").textContent = duration(percentile(buckets, 0.5));
  byId("p99").textContent = duration(percentile(buckets, 0.99));
  byId("inflight").textContent = whole(sum(routes.map((route) => route.in_flight)));
  byId("total").textContent = whole(total);
  byId("own").textContent = whole(sum(routes.map((route) => route.own)));
  byId("tls").textContent = whole(now.tls_handshake_failures);
  byId("tls-card").hidden = now.tls_handshake_failures === 0;
  fill("routes", routes.map((route) => routeRow(route, then && before(then, route), seconds)), "no routes");
  fill("upstreams", now.upstreams.flatMap(upstreamRows), "no upstreams");
  errors();
  state(now);
}

// A screen reader announces the state whenever it is written, so it is written only when it changes.
function say(text, isBad) {
  if (byId("state").textContent === text) return;
  byId("state").textContent = text;
  byId("state").className = isBad ? "bad" : "";
}

function state(now) {
  const hash = now.reload.config_hash;
  const reloaded = new Date(now.reload.in_force_since).toLocaleString("en-GB");
  byId("title").textContent = now.title;
  byId("build").textContent = `${now.version} · configuration ${hash || "embedded"} since ${reloaded}`;
  say(now.draining ? "draining" : "serving", now.draining);
  byId("refused").hidden = now.reload.mistakes.length === 0;
  byId("mistakes").textContent = now.reload.mistakes.join("\n\n");
}

async function answer(path) {
  const answered = await fetch(path);
  if (!answered.ok) throw new Error(`status ${answered.status}`);
  return answered.json();
}

async function poll() {
  try {
    const now = await answer("/status");
    samples.push(now);
    if (samples.length > WINDOW + 1) samples.shift();
    draw(now);
  } catch (error) {
    say(`no answer: ${error.message}`, true);
  }
  setTimeout(poll, POLL_MS);
}

async function pollHistory() {
  let seconds = 5;
  try {
    const history = await answer("/history");
    seconds = history.interval_seconds;
    drawHistory(history);
  } catch {
    // `poll` shows that nobody answers.
  }
  setTimeout(pollHistory, seconds * 1000);
}

byId("filter").addEventListener("input", errors);
byId("filter").addEventListener("submit", (event) => event.preventDefault());
poll();
pollHistory();
