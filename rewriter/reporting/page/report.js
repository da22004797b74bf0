
"use strict";
// The page of a report. All text of the model is put in as textContent, never as markup.

const files = JSON.parse(document.getElementById("data").textContent);
const MEASURES = [
  ["parameters", "Parameters", count],
  ["nodes", "Operators", count],
  ["macs", "MACs", count],
  ["weight_bytes", "Weight bytes", bytes],
  ["activation_bytes", "Activation bytes", bytes],
  ["time", "Time", time],
  ["local_error", "Error by itself", (value) => value.toPrecision(3)],
  ["error", "Error", (value) => value.toPrecision(3)],
];
const ERRORS = ["local_error", "error"];
const ROW_HEIGHT = 26;
const NAMED_WIDTH = 34;
const LETTER_WIDTH = 7;
const FIRST_ROWS = 8;
const MOST_UNRESOLVED = 500;
const MOST_MATCHES = 300;
const state = { measure: "parameters", focus: 0, chosen: 0, query: "", open: new Set() };

function count(value) {
  for (const [limit, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (value >= limit) return (value / (unit === "k" ? 1e3 : limit)).toFixed(1) + " " + unit;
  }
  return String(value);
}
function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  while (value >= 1024 && step < units.length - 1) { value /= 1024; step += 1; }
  return (step ? value.toFixed(1) : value) + " " + units[step];
}
function time(value) {
  const unit = (files.find((file) => file.time_unit) || {}).time_unit;
  if (unit !== "us") return count(value) + " " + unit;
  return value >= 1000 ? (value / 1000).toFixed(2) + " ms" : value.toFixed(1) + " µs";
}
function element(name, text, className) {
  const created = document.createElement(name);
  if (text !== undefined) created.textContent = text;
  if (className) created.className = className;
  return created;
}
function byId(id) { return document.getElementById(id); }

// Each file's modules get the list of those below them, and their place is known by tag.
for (const file of files) {
  file.byTag = new Map();
  for (const module of file.modules) {
    module.below = [];
    module.op_types = module.op_types || {};
    file.byTag.set(module.tag, module);
    if (module.parent >= 0) file.modules[module.parent].below.push(module);
  }
  file.modules.forEach((module, position) => { module.position = position; });
  // A module has the largest error of those inside it, where it has none of its own.
  for (const module of [...file.modules].reverse()) {
    for (const kind of ERRORS) {
      const inside = module.below.map((inner) => inner[kind]).filter((error) => error !== undefined);
      if (module[kind] === undefined && inside.length) module[kind] = Math.max(...inside);
    }
  }
}
// A module of either file is one row. The second file's modules stand where the first lacks them.
const tree = files[0];
for (const other of files.slice(1)) {
  for (const module of other.modules) {
    if (tree.byTag.has(module.tag)) continue;
    const above = module.parent < 0 ? tree.modules[0] : tree.byTag.get(other.modules[module.parent].tag);
    const added = { tag: module.tag, name: module.name, class_name: module.class_name, op_types: {}, below: [],
                    parent: above ? above.position : -1, position: tree.modules.length, missing: true };
    tree.modules.push(added);
    tree.byTag.set(added.tag, added);
    if (above) above.below.push(added);
  }
}
const runs = new Map();
for (const run of tree.equal) for (const member of run.members) runs.set(member, run);

function inFile(file, module) { return file.byTag.get(module.tag); }
function size(module) {
  const value = module && !module.missing ? module[state.measure] : undefined;
  return typeof value === "number" ? value : undefined;
}
// The files that have figures of the chosen kind.
function measured() { return files.filter((file) => file.modules.some((module) => size(module) !== undefined)); }
function total(modules) { return modules.reduce((sum, module) => sum + (size(module) || 0), 0); }
function format(value) {
  return value === undefined ? "—" : MEASURES.find(([key]) => key === state.measure)[2](value);
}
function path(module) {
  const steps = [];
  for (let at = module; at; at = at.parent < 0 ? null : tree.modules[at.parent]) steps.unshift(at);
  return steps;
}
function hue(module) {
  let number = 7;
  for (const letter of module.class_name || module.name) number = (number * 31 + letter.codePointAt(0)) % 360;
  return number;
}

function drawIcicles() {
  const trail = byId("trail");
  trail.replaceChildren();
  for (const module of path(tree.modules[state.focus])) {
    const button = element("button", module.name);
    button.type = "button";
    button.addEventListener("click", () => focusOn(module));
    trail.append(button, "›");
  }
  trail.lastChild.remove();
  byId("icicles").replaceChildren(...measured().flatMap(icicle));
}
function icicle(file) {
  const top = inFile(file, tree.modules[state.focus]);
  const box = element("div", undefined, "icicle");
  const width = byId("icicles").clientWidth || 1000;
  let depth = 0;
  let drawn = 0;
  const pending = top && size(top) > 0 ? [[[top], 0, 1, 0, 1]] : [];
  while (pending.length) {
    const [members, left, share, level, times] = pending.pop();
    const module = members[0];
    const run = members.length > 1 ? runs.get(tree.byTag.get(module.tag).position) : null;
    if (share * width < 2 || level > 11) continue;
    depth = Math.max(depth, level);
    drawn += 1;
    const name = run ? run.name : module.name;
    const readable = share * width > 12 + LETTER_WIDTH * Math.min(name.length, 6);
    const button = element("button", readable && share * width > NAMED_WIDTH ? name : "");
    button.type = "button";
    button.tabIndex = -1;
    button.dataset.tag = module.tag;
    const text = `${module.tag}  ${module.class_name}\n${format(size(module))}`;
    button.title = run ? `${members.length} x ${module.class_name}: ${run.name}\n${format(total(members))}`
                       : times > 1 ? `the first of ${times} equal modules: ${text}` : text;
    Object.assign(button.style, { left: `${left * 100}%`, width: `${share * 100}%`, top: `${level * ROW_HEIGHT}px`,
                                  background: `hsl(${hue(module)} 45% var(--light))` });
    if (module.tag === tree.modules[state.chosen].tag) button.classList.add("chosen");
    const shown = tree.byTag.get(module.tag);
    button.addEventListener("click", () => { if (run) openRun(shown); choose(shown); focusOn(shown); });
    box.append(button);
    const sum = total(module.below);
    const whole = Math.max(size(module), sum);  // tied weights count in each module that has them
    let at = left;
    for (const block of whole > 0 ? blocks(module, share * width / whole) : []) {
      const part = share * total(block) / whole;
      pending.push([block, at, part, level + 1, times * block.length]);
      at += part;
    }
  }
  box.style.height = `${(depth + 1) * ROW_HEIGHT}px`;
  const whole = top ? format(size(top)) : "not in this file";
  const caption = element("div", `${files.length > 1 ? `${file.file}, ` : ""}${MEASURES.find(([name]) => name === state.measure)[1]}: ${whole}`, "caption");
  if (!drawn) box.style.height = "0";
  return [caption, box];
}
// The blocks below a module. Equal modules that are too narrow for their names are one block.
function blocks(module, scale) {
  const result = [];
  let last = null;
  for (const inner of module.below) {
    const run = runs.get(tree.byTag.get(inner.tag).position);
    const narrow = (size(inner) || 0) * scale < NAMED_WIDTH;
    if (run && narrow && run === last) result[result.length - 1].push(inner);
    else result.push([inner]);
    last = narrow ? run : null;
  }
  return result;
}
function openRun(module) {
  for (const above of path(module).slice(0, -1)) state.open.add(String(above.position));
  state.open.add("run:" + module.position);
}
function focusOn(module) { state.focus = module.position; drawIcicles(); }

// The visible rows: their module, its level and its run, if it stands in one.
function rows() {
  const visible = [];
  const query = state.query.toLowerCase();
  if (query) {
    for (const module of tree.modules) {
      if (`${module.tag} ${module.class_name} ${Object.keys(module.op_types).join(" ")}`.toLowerCase().includes(query)) {
        visible.push({ module, level: 0, match: true });
        if (visible.length >= MOST_MATCHES) break;
      }
    }
    return visible;
  }
  const pending = [{ module: tree.modules[0], level: 0 }];
  while (pending.length) {
    const row = pending.pop();
    if (!row.module) continue;
    visible.push(row);
    const inner = [];
    if (row.run) {
      if (state.open.has(key(row))) for (const member of row.run.members) inner.push({ module: tree.modules[member], level: row.level + 1 });
    } else if (state.open.has(key(row))) {
      const seen = new Set();
      for (const module of row.module.below) {
        const run = runs.get(module.position);
        if (!run) inner.push({ module, level: row.level + 1 });
        else if (!seen.has(run)) { seen.add(run); inner.push({ module, level: row.level + 1, run }); }
      }
    }
    pending.push(...inner.reverse());
  }
  return visible;
}
function key(row) { return (row.run ? "run:" : "") + row.module.position; }

function drawTree() {
  const whole = Math.max(0, ...measured().map((file) => size(inFile(file, tree.modules[0])) || 0));
  const visible = rows();
  const lines = visible.map((row) => treeRow(row, whole));
  if (state.query && !lines.length) lines.push(element("p", `No module, class or operator is called “${state.query}”.`));
  if (state.query && lines.length === MOST_MATCHES) lines.push(element("p", `The first ${MOST_MATCHES} modules are listed.`));
  byId("tree").replaceChildren(...lines);
}
function treeRow(row, whole) {
  const { module, run } = row;
  const line = element("div", undefined, "row");
  line.setAttribute("role", "treeitem");
  line.dataset.key = key(row);
  line.setAttribute("aria-level", String(row.level + 1));
  const label = element("div", undefined, "label");
  label.style.paddingLeft = `${row.level * 16}px`;
  const opens = run || module.below.length > 0;
  const turn = element("span", opens && !row.match ? (state.open.has(key(row)) ? "▾" : "▸") : "", "turn");
  if (opens && !row.match) line.setAttribute("aria-expanded", String(state.open.has(key(row))));
  const times = run ? `${run.members.length} x ` : "";
  const kind = module.class_name === module.name && !row.match ? "" : times + (module.class_name || "");
  label.append(turn, marked(run ? run.name : row.match ? module.tag : module.name, "name", row.match), marked(kind, "class", row.match));
  if (row.match) for (const name of Object.keys(module.op_types)) if (found(name) >= 0) label.append(marked(`${name} ${module.op_types[name]}`, "class", true));
  const members = run ? run.members.map((member) => tree.modules[member]) : [module];
  const sizes = measured().map((file) => members.map((member) => size(inFile(file, member))));
  const values = sizes.map((some) => some.every((value) => value === undefined) ? undefined : ERRORS.includes(state.measure)
    ? Math.max(...some.filter((value) => value !== undefined)) : some.reduce((sum, value) => sum + (value || 0), 0));
  const figures = values.map(format);
  let text = (new Set(figures).size === 1 ? figures.slice(0, 1) : figures).join("  →  ");
  if (run && values[0] !== undefined) {
    const known = sizes[0].filter((value) => value !== undefined);
    const [least, most] = [format(Math.min(...known)), format(Math.max(...known))];
    text = `${text} (each ${least === most ? least : `${least} to ${most}`})`;
  }
  const meter = element("meter");
  meter.max = whole || 1;
  meter.value = Math.min(whole, values.find((value) => value !== undefined) || 0);
  line.append(label, element("div", text, "figure"), meter);
  if (module.position === state.chosen && !run) { line.classList.add("chosen"); line.setAttribute("aria-selected", "true"); }
  turn.addEventListener("click", (event) => { event.stopPropagation(); toggle(row); });
  line.addEventListener("click", () => { if (run) toggle(row); else { choose(module); byId("tree").focus(); } });
  line.addEventListener("dblclick", () => { if (opens && !run) toggle(row); });
  return line;
}
function found(text) { return text.toLowerCase().indexOf(state.query.toLowerCase()); }
// A text in which the searched part is marked.
function marked(text, className, searched) {
  const at = searched ? found(text) : -1;
  if (at < 0) return element("span", text, className);
  const whole = element("span", text.slice(0, at), className);
  whole.append(element("mark", text.slice(at, at + state.query.length)), text.slice(at + state.query.length));
  return whole;
}
function toggle(row) {
  if (!state.open.delete(key(row))) state.open.add(key(row));
  drawTree();
}
// Opens what is around a module, so that it has a row of its own.
function reveal(module) {
  for (const above of path(module)) {
    if (above !== module) state.open.add(String(above.position));
    const run = runs.get(above.position);
    if (run) state.open.add("run:" + run.members[0]);
  }
}
function choose(module) {
  state.chosen = module.position;
  reveal(module);
  drawTree();
  drawDetails();
  for (const button of document.querySelectorAll(".icicle button")) button.classList.toggle("chosen", button.dataset.tag === module.tag);
  const line = document.querySelector("#tree .chosen");
  if (line) line.scrollIntoView({ block: "nearest" });
}

function table(heads, lines) {
  const grid = element("table");
  const head = element("tr");
  head.append(...heads.map((text, number) => element("th", text, number && heads.length <= 3 ? "figure" : "")));
  if (heads.some(Boolean)) grid.append(head);
  for (const cells of lines) {
    const line = element("tr");
    line.append(...cells.map((text, number) => element("td", text, number && heads.length <= 3 ? "figure" : "")));
    grid.append(line);
  }
  return grid;
}
function drawDetails() {
  const module = tree.modules[state.chosen];
  const sides = files.map((file) => inFile(file, module));
  const heads = ["", ...files.map((file) => files.length > 1 ? file.file : "")];
  const figures = MEASURES.filter(([name]) => usable(name)).map(([name, label, show]) =>
    [label, ...sides.map((side, number) => side && typeof side[name] === "number" ? show(side[name]) + share(name, side, files[number]) : "—")]);
  const operators = new Set(sides.flatMap((side) => side ? Object.keys(side.op_types) : []));
  const title = element("h2");
  for (const step of module.tag.split(/(?=\/)/)) title.append(step, document.createElement("wbr"));
  const parts = [title, element("p", module.class_name ? `class ${module.class_name}` : "class unknown"), element("h3", "Figures"), table(heads, figures)];
  parts.push(element("h3", "Operators"), table(heads, [...operators].map((name) => [name, ...sides.map((side) => side ? String(side.op_types[name] || 0) : "—")])));
  const lines = new Set(sides.flatMap((side) => side && side.lines ? side.lines : []));
  if (lines.size) {
    parts.push(element("h3", "Source lines"));
    for (const line of lines) parts.push(...sourceLine(line));
  }
  byId("details").replaceChildren(...parts);
}
// A figure's share of the whole model; errors have none.
function share(name, side, file) {
  const whole = file.modules[0][name];
  return ERRORS.includes(name) || !whole || side === file.modules[0] ? "" : `  (${(100 * side[name] / whole).toFixed(1)} %)`;
}
function sourceLine(line) {
  const entry = element("div");
  entry.append(element("code", line));
  const code = files.map((file) => file.code && file.code[line]).find(Boolean);
  if (!code) return [entry];
  const block = element("code", undefined, "code");
  block.style.display = "block";
  code.lines.forEach((text, number) => {
    const first = code.first + number;
    block.append(element(line.endsWith(":" + first) ? "mark" : "span", `${String(first).padStart(5)}  ${text}\n`));
  });
  return [entry, block];
}
function usable(name) {
  return files.some((file) => file.modules.some((module) => typeof module[name] === "number" && module[name] > 0));
}
function drawUnresolved() {
  const parts = [];
  for (const file of files) {
    parts.push(element("h2", `${file.file}: ${file.unresolved.length} nodes without a module`));
    for (const note of file.notes) parts.push(element("p", note));
    const some = file.unresolved.slice(0, MOST_UNRESOLVED);
    if (some.length) parts.push(table(["Node", "Operator", "Graph", "Reason"], some.map((node) => [node.name || `#${node.position}`, node.op_type, node.graph || "main", node.reason])));
    if (some.length < file.unresolved.length) parts.push(element("p", `The first ${some.length} are listed.`));
  }
  byId("unresolved").replaceChildren(...parts);
}

function dark() {
  const set = document.documentElement.dataset.theme;
  return set ? set === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
function nameTheme() {
  byId("theme").textContent = dark() ? "Light" : "Dark";
  byId("theme").title = `Change to ${dark() ? "light" : "dark"} colours`;
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", nameTheme);
byId("theme").addEventListener("click", () => { document.documentElement.dataset.theme = dark() ? "light" : "dark"; nameTheme(); });
byId("measure").addEventListener("change", (event) => { state.measure = event.target.value; drawIcicles(); drawTree(); });
byId("search").addEventListener("input", (event) => { state.query = event.target.value.trim(); drawTree(); });
byId("tree").addEventListener("keydown", (event) => {
  const visible = rows();
  const at = visible.findIndex((row) => row.module.position === state.chosen && !row.run);
  const row = visible[at];
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    let next = at + step;
    while (visible[next] && visible[next].run && state.open.has(key(visible[next]))) next += step;
    if (visible[next] && visible[next].run) { toggle(visible[next]); next = rows().findIndex((other) => other.module === visible[next].module && !other.run); }
    const target = rows()[next];
    if (target) choose(target.module);
  } else if (row && event.key === "ArrowRight" && row.module.below.length && !state.open.has(key(row))) toggle(row);
  else if (row && event.key === "ArrowLeft") { if (state.open.has(key(row))) toggle(row); else if (row.module.parent >= 0) choose(tree.modules[row.module.parent]); }
  else if (row && event.key === "Enter") focusOn(row.module);
  else return;
  event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && event.target.tagName !== "INPUT") { byId("search").focus(); event.preventDefault(); }
  if (event.key === "Escape") { byId("search").value = state.query = ""; drawTree(); byId("tree").focus(); }
});
addEventListener("resize", drawIcicles);

for (const [name, label] of MEASURES) if (usable(name)) { const option = element("option", label); option.value = name; byId("measure").append(option); }
byId("measure").value = ["time", ...ERRORS].find(usable) || byId("measure").value;  // what was asked for
state.measure = byId("measure").value || "nodes";
byId("title").textContent = files.map((file) => file.file).join("  →  ");
document.title = byId("title").textContent;
byId("facts").textContent = files.map((file) => (files.length > 1 ? `${file.file}: ` : "") + `${file.nodes} nodes, ${file.tagged === file.nodes ? "all" : file.tagged} with a module, ${file.modules.filter((module) => !module.missing).length} modules` + (file.source ? ` (from ${file.source})` : "")).join("; ");
state.open.add("0");
// The tree is open down to the first level that has something to compare.
for (let at = tree.modules[0]; at && rows().length < FIRST_ROWS && !runs.has(at.position);) {
  state.open.add(String(at.position));
  at = at.below.reduce((most, module) => (most && (size(most) || 0) >= (size(module) || 0) ? most : module), null);
}
if (tree.modules.length) { nameTheme(); drawIcicles(); drawTree(); drawDetails(); }
drawUnresolved();
