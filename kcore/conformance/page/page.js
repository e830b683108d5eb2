"use strict";
(() => {
  const found = JSON.parse(document.getElementById("data").textContent);
  const results = found.results;
  const $ = (id) => document.getElementById(id);

  const VERDICTS = ["FAIL", "no record", "differs", "unsupported", "pass"];
  const MARKS = { FAIL: "✗", "no record": "✗", differs: "≈", unsupported: "–", pass: "✓" };
  const failed = (r) => r.verdict === "FAIL" || r.verdict === "no record";
  const backends = [...new Set(results.map((r) => r.backend))];
  const names = [...new Set(results.map((r) => r.op))];
  const byOp = new Map(names.map((name) => [name, new Map()]));
  for (const r of results) byOp.get(r.op).set(r.backend, r);

  // -- numbers ---------------------------------------------------------------------------

  // Numbers that JSON lacks are strings: "inf", "nan".
  const number = (x) => (x === "inf" ? Infinity : x === "-inf" ? -Infinity : x === null || x === undefined ? null : Number(x));

  function part(error, tolerance) {
    const e = number(error);
    const t = number(tolerance);
    if (e === null) return null;
    if (Number.isNaN(e)) return Infinity;
    return t ? e / t : e ? Infinity : 0;
  }

  // The worst error, of values or gradients, as a part of its tolerance.
  function share(r) {
    const parts = [part(r.error, r.tolerance), part(r.gradient_error, r.gradient_tolerance)].filter((p) => p !== null);
    return parts.length ? Math.max(...parts) : null;
  }

  function told(x) {
    const n = number(x);
    if (n === null) return "";
    if (n === 0) return "0";
    return Number.isFinite(n) ? n.toExponential(1) : String(n);
  }

  function percent(p) {
    if (p === null) return "";
    if (p === 0) return "exact";
    if (!Number.isFinite(p)) return "wrong";
    if (p < 0.001) return "<0.1%";
    return p < 10 ? `${(100 * p).toPrecision(2).replace(/e\+?(\d+)/, "e$1")}%` : `${p.toPrecision(2)}×`;
  }

  function colour(r) {
    if (failed(r)) return "fail";
    if (r.verdict === "differs") return "differs";
    if (r.verdict === "unsupported") return "none";
    const p = share(r);
    if (p === null || p === 0) return "s0";
    return p <= 0.1 ? "s1" : p <= 0.5 ? "s2" : "s3";
  }

  // -- making elements -------------------------------------------------------------------

  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (value !== false && value !== null) node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children.filter((c) => c !== null && c !== undefined));
    return node;
  }

  function drawn(tag, attributes, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  }

  // -- what is shown ---------------------------------------------------------------------

  const state = { search: "", verdicts: new Set(VERDICTS), sort: "record", theme: "system", op: null, backend: null };

  function readHash() {
    const said = new URLSearchParams(location.hash.slice(1));
    state.search = said.get("search") || "";
    state.sort = said.get("sort") || "record";
    state.verdicts = new Set(said.has("verdicts") ? said.get("verdicts").split(",") : VERDICTS);
    state.op = said.get("op");
    state.backend = said.get("backend");
  }

  function writeHash() {
    const said = new URLSearchParams();
    if (state.search) said.set("search", state.search);
    if (state.sort !== "record") said.set("sort", state.sort);
    if (state.verdicts.size !== VERDICTS.length) said.set("verdicts", [...state.verdicts].join(","));
    if (state.op) {
      said.set("op", state.op);
      said.set("backend", state.backend);
    }
    const text = said.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }

  function matcher(text) {
    const wanted = text.trim().toLowerCase();
    if (!/[*?]/.test(wanted)) return (name) => name.toLowerCase().includes(wanted);
    const escaped = wanted.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".");
    const pattern = new RegExp(`^${escaped}$`);
    return (name) => pattern.test(name.toLowerCase());
  }

  const worst = (name, of) => Math.max(...[...byOp.get(name).values()].map(of));
  const ORDERS = {
    record: null,
    name: (a, b) => a.localeCompare(b),
    verdict: (a, b) => worst(b, (r) => 9 - VERDICTS.indexOf(r.verdict)) - worst(a, (r) => 9 - VERDICTS.indexOf(r.verdict)),
    error: (a, b) => compare(worst(b, (r) => share(r) ?? -1), worst(a, (r) => share(r) ?? -1)),
    time: (a, b) => worst(b, (r) => r.seconds) - worst(a, (r) => r.seconds),
  };
  const compare = (a, b) => (a === b ? 0 : a < b ? -1 : 1); // infinities have no difference

  function shownNames() {
    const matches = matcher(state.search);
    let shown = names.filter((n) => matches(n) && [...byOp.get(n).values()].some((r) => state.verdicts.has(r.verdict)));
    if (state.sort.startsWith("backend:")) {
      const backend = state.sort.slice(8);
      const of = (n) => { const r = byOp.get(n).get(backend); return r ? (failed(r) ? Infinity : share(r) ?? -1) : -2; };
      return [...shown].sort((a, b) => compare(of(b), of(a)));
    }
    const order = ORDERS[state.sort];
    return order ? [...shown].sort(order) : shown;
  }

  // -- the grid --------------------------------------------------------------------------

  function header() {
    const cells = [make("th", { scope: "col" }, make("button", { type: "button", "data-sort": "name", onclick: () => sortBy("name") }, "op"))];
    for (const backend of backends) {
      const by = `backend:${backend}`;
      cells.push(make("th", { scope: "col" }, make("button", {
        type: "button", "data-sort": by, title: `sort by the error on ${backend}`, onclick: () => sortBy(state.sort === by ? "record" : by),
      }, backend)));
    }
    $("grid").tHead.replaceChildren(make("tr", {}, ...cells));
  }

  function cell(r) {
    if (!r) return make("td", {}, make("span", { class: "unseen" }, "not run"));
    const p = share(r);
    const label = `${r.op} on ${r.backend}: ${r.verdict}` + (p === null ? "" : `, worst error ${percent(p)}${p > 0 && Number.isFinite(p) ? " of its tolerance" : ""}`);
    return make("td", {}, make("button", {
      type: "button", class: `cell ${colour(r)}`, tabindex: "-1", "aria-label": label, "aria-pressed": "false",
      "data-op": r.op, "data-backend": r.backend, onclick: () => open(r.op, r.backend),
    }, `${MARKS[r.verdict] || "?"} ${r.verdict === "pass" || r.verdict === "FAIL" ? percent(p) : r.verdict}`));
  }

  function draw() {
    const shown = shownNames();
    const rows = shown.map((name) => {
      const own = byOp.get(name);
      return make("tr", {}, make("th", { scope: "row" }, name), ...backends.map((b) => cell(own.get(b))));
    });
    $("grid").tBodies[0].replaceChildren(...rows);
    for (const b of $("grid").tHead.querySelectorAll("button")) {
      const chosen = b.dataset.sort === state.sort;
      b.closest("th").setAttribute("aria-sort", chosen ? (state.sort === "name" ? "ascending" : "descending") : "none");
    }
    $("nothing").hidden = shown.length > 0;
    $("count").textContent = `${shown.length} of ${names.length} ops`;
    const visible = shown.flatMap((n) => [...byOp.get(n).values()]);
    $("overall").replaceChildren(...histogram(visible, "Errors of all that is shown, as parts of their tolerances"));
    mark();
    writeHash();
  }

  // One cell takes the tab key; the arrows move it.
  function mark() {
    let current = null;
    for (const button of document.querySelectorAll(".cell")) {
      const chosen = button.dataset.op === state.op && button.dataset.backend === state.backend;
      button.setAttribute("aria-pressed", String(chosen));
      button.tabIndex = -1;
      if (chosen) current = button;
    }
    current = current || document.querySelector(".cell");
    if (current) current.tabIndex = 0;
    return current;
  }

  function move(from, down, right) {
    const row = from.closest("tr");
    const rows = [...row.parentNode.rows];
    const at = rows.indexOf(row);
    let y = Math.min(Math.max(at + down, 0), rows.length - 1);
    let x = Math.min(Math.max(from.parentNode.cellIndex + right, 1), backends.length);
    const target = rows[y].cells[x].querySelector(".cell");
    if (!target) return;
    from.tabIndex = -1;
    target.tabIndex = 0;
    target.focus();
  }

  $("grid").addEventListener("keydown", (event) => {
    const from = event.target.closest(".cell");
    if (!from) return;
    const steps = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], PageDown: [15, 0], PageUp: [-15, 0], Home: [0, -99], End: [0, 99] };
    if (!(event.key in steps)) return;
    event.preventDefault();
    move(from, ...steps[event.key]);
  });

  // -- an error histogram ----------------------------------------------------------------

  function classes() {
    const bounds = found.spread;
    const said = bounds.map((b, i) => (b === 0 ? "exact" : b < 0.01 ? `≤ 1/${Math.round(1 / b)}` : `≤ ${b}`));
    return [...said, `> ${bounds[bounds.length - 1]}`];
  }

  function histogram(of, title) {
    const labels = classes();
    const counts = labels.map((_, i) => of.reduce((n, r) => n + (r.spread[i] || 0), 0));
    const total = counts.reduce((a, b) => a + b, 0);
    if (!total) return [];
    const width = 560, height = 120, gap = width / labels.length, top = Math.max(...counts);
    const svg = drawn("svg", { viewBox: `0 0 ${width} ${height + 34}`, role: "img", "aria-label": `${title}: ` + labels.map((l, i) => `${l}: ${counts[i]}`).join(", ") });
    labels.forEach((label, i) => {
      // Square roots: one error out of tolerance must be seen beside thousands within.
      const size = counts[i] ? Math.max(2, height * 0.85 * Math.sqrt(counts[i] / top)) : 0;
      const x = i * gap;
      svg.append(drawn("rect", { class: i === labels.length - 1 ? "bar beyond" : "bar", x: x + 4, y: height - size, width: gap - 8, height: size }));
      svg.append(drawn("text", { x: x + gap / 2, y: height - size - 4, "text-anchor": "middle" }, counts[i]));
      svg.append(drawn("text", { x: x + gap / 2, y: height + 16, "text-anchor": "middle" }, label));
    });
    svg.append(drawn("line", { x1: 0, x2: width, y1: height, y2: height }));
    svg.append(drawn("text", { x: 0, y: height + 32 }, "error / tolerance; heights are square roots of the counts"));
    return [make("figcaption", {}, title), svg];
  }

  // -- one cell's detail -----------------------------------------------------------------

  function command(text) {
    const button = make("button", { type: "button", onclick: () => copy(text, button) }, "Copy");
    return make("div", { class: "command" }, make("pre", {}, text), button);
  }

  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Pages from files may not use the clipboard in some browsers: select it, for the keyboard.
      const range = document.createRange();
      range.selectNodeContents(button.previousSibling);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      button.textContent = "Selected";
      return;
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }

  function facts(pairs) {
    const rows = pairs.filter(([, v]) => v !== "" && v !== null).map(([k, v]) => make("tr", {}, make("th", { scope: "row" }, k), make("td", {}, String(v))));
    return make("table", {}, make("tbody", {}, ...rows));
  }

  function againLine(r) {
    const options = found.options || {};
    const device = options.device ? ` --device ${options.device}` : "";
    if (r.failures.length && r.failures[0].rerun) return r.failures[0].rerun + device;
    const verb = options.command === "golden check" ? "golden check" : "conform";
    return `kcore ${verb} --backend ${r.backend} --op ${r.op}${options.full ? " --full" : ""}${device}`;
  }

  function failure(f) {
    const lines = [make("p", {}, make("strong", {}, f.check), `: ${f.problem}`)];
    if (f.sample) lines.push(make("pre", {}, f.sample + (f.dtype ? `   in ${f.dtype}` : "")));
    const at = f.where && f.where.length ? `(${f.where.join(", ")})` : "";
    lines.push(facts([["at", at], ["got", f.where ? f.got : ""], ["want", f.where ? f.want : ""], ["error", told(f.error)], ["allowed", told(f.tolerance)]]));
    if (f.rerun) lines.push(command(f.rerun));
    return make("article", {}, ...lines);
  }

  function repro(r) {
    const options = found.options || {};
    if (options.command === "golden check") return null;
    const dtypes = [...new Set(r.failures.map((f) => f.dtype).filter(Boolean))];
    const chosen = r.failures.length && dtypes.length ? `, dtypes=${JSON.stringify(dtypes)}` : "";
    return [
      "from kcore import conformance",
      `(result,) = conformance.run(["${r.backend}"], ["${r.op}"]${chosen}${options.full ? ", full=True" : ""})`,
      "print(result.verdict, *result.failures, sep=\"\\n\")",
    ].join("\n");
  }

  function open(op, backend) {
    state.op = op;
    state.backend = backend;
    detail();
    mark();
    writeHash();
  }

  function close() {
    if (!state.op) return;
    const { op, backend } = state;
    state.op = state.backend = null;
    detail();
    mark();
    writeHash();
    const from = [...document.querySelectorAll(".cell")].find((c) => c.dataset.op === op && c.dataset.backend === backend);
    if (from) {
      for (const c of document.querySelectorAll('.cell[tabindex="0"]')) c.tabIndex = -1;
      from.tabIndex = 0;
      from.focus();
    }
  }

  function detail() {
    const r = state.op && byOp.has(state.op) ? byOp.get(state.op).get(state.backend) : null;
    $("split").classList.toggle("open", Boolean(r));
    $("detail").hidden = !r;
    if (!r) { $("detail").replaceChildren(); return; }
    const said = (found.backends || {})[r.backend] || {};
    const python = repro(r);
    $("detail").replaceChildren(
      make("div", { class: "top" }, make("h2", {}, `${r.op} on ${r.backend}`), make("button", { type: "button", id: "close", onclick: close }, "Close")),
      make("p", {}, make("strong", {}, `${MARKS[r.verdict] || ""} ${r.verdict}`), r.reason ? `: ${r.reason}` : ""),
      facts([
        ["cases compared", r.cases],
        ["worst error", r.error === null ? "" : `${told(r.error)} of ${told(r.tolerance)} allowed${r.dtype ? ` (${r.dtype})` : ""}`],
        ["worst gradient error", r.gradient_error === null ? "" : `${told(r.gradient_error)} of ${told(r.gradient_tolerance)} allowed`],
        ["units in the last place", r.ulp === null ? "" : number(r.ulp) < 1e4 ? number(r.ulp).toFixed(1) : told(r.ulp)],
        ["device", said.device || ""],
        ["seconds", Number(r.seconds).toFixed(2)],
      ]),
      ...(r.failures.length ? [make("h3", {}, `${r.failures.length} ${r.failures.length === 1 ? "failure" : "failures"}`), ...r.failures.map(failure)] : []),
      make("h3", {}, "Run it again"),
      command(againLine(r)),
      ...(python ? [command(python)] : []),
      make("figure", {}, ...histogram([r], "Errors as parts of their tolerances")),
    );
    $("detail").focus({ preventScroll: true });
  }

  // -- header and controls ---------------------------------------------------------------

  function sortBy(how) {
    state.sort = how;
    $("sort").value = how.startsWith("backend:") ? "" : how;
    draw();
  }

  function introduce() {
    const bad = results.filter(failed).length;
    const counts = VERDICTS.filter((v) => found.verdicts[v]).map((v) => `${found.verdicts[v]} ${v}`).join(", ");
    $("outcome").textContent = `${bad ? "Fails" : "Holds"}: ${counts || "nothing was run"}${found.complete ? "" : " (interrupted)"}`;
    document.title = `${bad ? "✗" : "✓"} ${document.title}`;
    const options = found.options || {};
    const asked = [options.ops && `ops ${options.ops.join(", ")}`, options.dtypes && `dtypes ${options.dtypes.join(", ")}`, options.full && "full"].filter(Boolean);
    $("about").textContent = [`kcore ${options.command || "conform"}`, ...asked, `kcore ${found.kcore}`, `Python ${found.python}`, found.platform, `${Math.round(found.seconds)} s`].join(" · ");
    const rows = [];
    for (const [name, said] of Object.entries(found.backends || {})) {
      for (const [key, value] of Object.entries(said)) {
        const pairs = key === "precision" ? Object.entries(value) : [[key, value]];
        for (const [k, v] of pairs) rows.push(make("tr", {}, make("td", {}, name), make("td", {}, k), make("td", {}, String(v))));
      }
    }
    for (const [k, v] of Object.entries(found.variables || {})) rows.push(make("tr", {}, make("td", {}, "environment"), make("td", {}, k), make("td", {}, v)));
    $("settings").replaceChildren(make("table", {}, make("tbody", {}, ...rows)));
    const swatches = [["--pass0", "exact"], ["--pass1", "up to 10% of its tolerance"], ["--pass2", "up to 50%"], ["--pass3", "up to 100%"], ["--fail", "beyond, or wrong otherwise"], ["--differs", "differs for a reason"], ["--none", "unsupported"]];
    $("legend").replaceChildren(...swatches.map(([variable, text]) => make("span", { style: `--swatch: var(${variable})` }, text)));
    for (const verdict of VERDICTS.filter((v) => found.verdicts[v])) {
      $("verdicts").append(make("label", {}, make("input", { type: "checkbox", value: verdict, checked: state.verdicts.has(verdict) }), ` ${verdict} (${found.verdicts[verdict]})`));
    }
  }

  const THEMES = ["system", "dark", "light"];
  function setTheme(theme) {
    state.theme = theme;
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    $("theme").textContent = `Colours: ${theme}`;
    $("theme").setAttribute("aria-label", `Colours: ${theme === "system" ? "as the system has them" : theme}`);
    try { localStorage.setItem("kcore-theme", theme); } catch { /* no storage for files here */ }
  }

  $("theme").addEventListener("click", () => setTheme(THEMES[(THEMES.indexOf(state.theme) + 1) % THEMES.length]));
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("controls").addEventListener("reset", () => {
    state.search = "";
    state.verdicts = new Set(VERDICTS);
    state.sort = "record";
    setTimeout(() => {
      for (const box of $("verdicts").querySelectorAll("input")) box.checked = true;
      $("search").value = "";
      $("sort").value = "record";
      draw();
    });
  });
  $("search").addEventListener("input", () => { state.search = $("search").value; draw(); });
  $("sort").addEventListener("change", () => sortBy($("sort").value));
  $("verdicts").addEventListener("change", () => {
    for (const box of $("verdicts").querySelectorAll("input")) state.verdicts[box.checked ? "add" : "delete"](box.value);
    draw();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (event.key === "/" && !/^(INPUT|SELECT)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      $("search").focus();
    }
  });

  let theme = "system";
  try { theme = localStorage.getItem("kcore-theme") || "system"; } catch { /* no storage for files here */ }
  setTheme(THEMES.includes(theme) ? theme : "system");
  readHash();
  $("search").value = state.search;
  $("sort").value = state.sort;
  header();
  introduce();
  draw();
  detail();
})();
