"use strict";
// Makes the curves readable point by point and lets people zoom; the page is whole without it.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const BOX = { left: 64, right: 626, top: 12, bottom: 216, width: 640 };
  const FEW = 40;

  const make = (name, attributes = {}, parent = null, text = null) => {
    const node = SVG_NAMES.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== null) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  };
  const SVG_NAMES = new Set(["g", "line", "path", "circle", "rect", "text"]);
  const shown = (value) => String(Number(value.toPrecision(6)));

  // Round ticks that hold both values, as the page's own were made.
  const axis = (low, high, whole) => {
    if (low === high) {
      const room = whole ? 0.5 : Math.abs(low) * 0.1 || 0.5;
      [low, high] = [low - room, high + room];
    }
    const rough = (high - low) / 5;
    const size = 10 ** Math.floor(Math.log10(rough));
    let step = size * [1, 2, 5, 10].find((factor) => size * factor >= rough * 0.999);
    if (whole) step = Math.max(step, 1);
    const ticks = [];
    const last = Math.ceil(high / step - 1e-9);
    for (let place = Math.floor(low / step + 1e-9); place <= last; place += 1) {
      ticks.push(Number((place * step).toPrecision(12)));
    }
    return whole
      ? { low, high, ticks: ticks.filter((tick) => tick >= low && tick <= high) }
      : { low: ticks[0], high: ticks[ticks.length - 1], ticks };
  };

  class Chart {
    constructor(figure, data) {
      this.figure = figure;
      this.data = data;
      this.plot = figure.querySelector(".plot");
      this.svg = this.plot.querySelector("svg");
      this.curves = data.curves.map((curve) => ({
        ...curve,
        points: curve.points.map(([step, value]) => ({ step, value: value / data.scale, raw: value })),
      }));
      const steps = new Set(this.curves.flatMap((curve) => curve.points.map((point) => point.step)));
      this.steps = [...steps].sort((a, b) => a - b);
      this.first = this.steps[0];
      this.last = this.steps[this.steps.length - 1];
      this.cursor = make("g", { class: "cursor", "aria-hidden": "true" }, this.svg);
      this.tip = make("div", { class: "tip", "aria-hidden": "true", hidden: "" }, this.plot);
      this.at = null;
      this.window = [this.first, this.last];
      this.domain();
      this.controls();
      this.listen();
      this.table();
    }

    visible(curve) {
      return curve.points.filter((point) => point.step >= this.window[0] && point.step <= this.window[1]);
    }

    domain() {
      const values = this.curves.flatMap((curve) => this.visible(curve).map((point) => point.value));
      this.x = axis(this.window[0], this.window[1], true);
      if (values.length) this.y = axis(Math.min(...values), Math.max(...values), false);
    }

    px(step) {
      return BOX.left + ((step - this.x.low) / (this.x.high - this.x.low)) * (BOX.right - BOX.left);
    }

    py(value) {
      return BOX.bottom - ((value - this.y.low) / (this.y.high - this.y.low)) * (BOX.bottom - BOX.top);
    }

    draw() {
      this.domain();
      const axes = this.svg.querySelector(".axes");
      axes.replaceChildren();
      for (const tick of this.y.ticks) {
        const y = this.py(tick).toFixed(1);
        make("line", { x1: BOX.left, x2: BOX.right, y1: y, y2: y }, axes);
        make("text", { class: "up", x: BOX.left - 6, y }, axes, shown(tick));
      }
      for (const tick of this.x.ticks) {
        const x = this.px(tick).toFixed(1);
        make("text", { class: "across", x, y: BOX.bottom + 16 }, axes, tick.toLocaleString("en"));
      }
      const lines = this.svg.querySelector(".lines");
      lines.replaceChildren();
      for (const curve of this.curves) {
        const group = make("g", { class: `c${curve.color} d${curve.dash}` }, lines);
        const places = curve.points.map((p) => [this.px(p.step).toFixed(1), this.py(p.value).toFixed(1)]);
        make("path", { d: `M${places.map((place) => place.join(" ")).join("L")}` }, group);
        if (this.visible(curve).length <= FEW) {
          for (const [cx, cy] of places) make("circle", { cx, cy, r: 2.6 }, group);
        }
      }
      this.out.disabled = this.all.disabled = this.window[0] === this.first && this.window[1] === this.last;
      this.plot.setAttribute("aria-valuemin", this.window[0]);
      this.plot.setAttribute("aria-valuemax", this.window[1]);
      this.hide();
    }

    controls() {
      const box = make("div", { class: "controls" }, this.figure.querySelector("figcaption"));
      const title = this.figure.querySelector("h3").textContent;
      const button = (text, what, act) => {
        const node = make("button", { type: "button", "aria-label": `${what}: ${title}` }, box, text);
        node.addEventListener("click", act);
        return node;
      };
      button("+", "Zoom in", () => this.zoom(0.5));
      this.out = button("\u2212", "Zoom out", () => this.zoom(2));
      this.all = button("All", "Show all", () => this.show(this.first, this.last));
      this.out.disabled = this.all.disabled = true;
    }

    show(from, to) {
      const inside = this.steps.filter((step) => step >= from && step <= to);
      if (inside.length < 2) return;
      this.window = [inside[0], inside[inside.length - 1]];
      this.draw();
    }

    zoom(factor) {
      const [low, high] = this.window;
      const middle = this.at !== null && this.at >= low && this.at <= high ? this.at : (low + high) / 2;
      const half = ((high - low) * factor) / 2;
      const at = this.at;
      const start = Math.max(this.first, Math.min(middle - half, this.last - 2 * half));
      this.show(start, Math.min(this.last, start + 2 * half));
      if (at !== null && at >= this.window[0] && at <= this.window[1]) this.read(at);
    }

    nearest(step) {
      let best = null;
      for (const one of this.steps) {
        if (one < this.window[0] || one > this.window[1]) continue;
        if (best === null || Math.abs(one - step) < Math.abs(best - step)) best = one;
      }
      return best;
    }

    // Show what every curve has at a step.
    read(step) {
      this.at = step;
      const found = this.curves
        .map((curve) => ({ curve, point: curve.points.find((point) => point.step === step) }))
        .filter((one) => one.point);
      this.cursor.replaceChildren();
      const x = this.px(step);
      make("line", { x1: x, x2: x, y1: BOX.top, y2: BOX.bottom }, this.cursor);
      this.tip.replaceChildren();
      make("p", {}, this.tip, `step ${step}`);
      for (const { curve, point } of found) {
        const mark = make("g", { class: `c${curve.color}` }, this.cursor);
        make("circle", { cx: x, cy: this.py(point.value), r: 4.5 }, mark);
        make("p", { class: `c${curve.color}`, "data-raw": point.raw }, this.tip, `${curve.label}: ${shown(point.value)}`);
      }
      const told = found.map(({ curve, point }) => `${curve.label} ${shown(point.value)} ${this.data.unit}`.trim());
      this.plot.setAttribute("aria-valuenow", step);
      this.plot.setAttribute("aria-valuetext", `step ${step}: ${told.join(", ")}`);
      this.tip.hidden = false;
      const share = x / BOX.width;
      this.tip.style.left = share < 0.5 ? `calc(${100 * share}% + 10px)` : "auto";
      this.tip.style.right = share < 0.5 ? "auto" : `calc(${100 * (1 - share)}% + 10px)`;
    }

    hide() {
      this.cursor.replaceChildren();
      this.tip.hidden = true;
      this.at = null;
    }

    stepAt(event) {
      const box = this.svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * BOX.width;
      const share = (x - BOX.left) / (BOX.right - BOX.left);
      return this.x.low + Math.min(Math.max(share, 0), 1) * (this.x.high - this.x.low);
    }

    listen() {
      const plot = this.plot;
      const names = {
        role: "slider",
        tabindex: 0,
        "aria-label": `${this.figure.querySelector("h3").textContent}, point by point`,
        "aria-describedby": `s-${this.data.anchor}`,
        "aria-orientation": "horizontal",
        "aria-valuemin": this.first,
        "aria-valuemax": this.last,
        "aria-valuenow": this.first,
        "aria-valuetext": "arrow keys move from point to point",
      };
      for (const [name, value] of Object.entries(names)) plot.setAttribute(name, value);
      let start = null;
      plot.addEventListener("pointerdown", (event) => {
        if (event.button === 0) start = this.stepAt(event);
      });
      plot.addEventListener("pointermove", (event) => {
        const step = this.nearest(this.stepAt(event));
        if (step === null) return;
        this.read(step);
        if (start !== null && event.buttons) this.choose(start, this.stepAt(event));
      });
      plot.addEventListener("pointerup", (event) => {
        if (start !== null && Math.abs(this.px(this.stepAt(event)) - this.px(start)) > 12) {
          this.show(...[start, this.stepAt(event)].sort((a, b) => a - b));
        }
        start = null;
      });
      plot.addEventListener("pointerleave", () => {
        start = null;
        if (document.activeElement !== plot) this.hide();
      });
      plot.addEventListener("dblclick", () => this.show(this.first, this.last));
      plot.addEventListener("blur", () => this.hide());
      plot.addEventListener("keydown", (event) => this.key(event));
    }

    choose(from, to) {
      const [low, high] = [this.px(from), this.px(to)].sort((a, b) => a - b);
      const size = { x: low, width: high - low, y: BOX.top, height: BOX.bottom - BOX.top };
      make("rect", { class: "chosen", ...size }, this.cursor);
    }

    key(event) {
      const steps = this.steps.filter((step) => step >= this.window[0] && step <= this.window[1]);
      const place = steps.indexOf(this.at);
      const moves = {
        ArrowLeft: Math.max(place - 1, 0),
        ArrowRight: Math.min(place + 1, steps.length - 1),
        PageDown: Math.max(place - 10, 0),
        PageUp: Math.min(place + 10, steps.length - 1),
        Home: 0,
        End: steps.length - 1,
      };
      const acts = {
        "+": () => this.zoom(0.5),
        "-": () => this.zoom(2),
        0: () => this.show(this.first, this.last),
        Escape: () => this.hide(),
      };
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key in moves) this.read(steps[moves[event.key]]);
      else if (event.key in acts) acts[event.key]();
      else return;
      event.preventDefault();
    }

    // All points as a table, made when somebody opens it.
    table() {
      const details = make("details", { class: "points" }, this.figure);
      make("summary", {}, details, "The points as a table");
      details.classList.add("all");
      details.addEventListener(
        "toggle",
        () => {
          const box = make("div", { class: "values", tabindex: 0, role: "region" }, details);
          box.setAttribute("aria-label", `${this.figure.querySelector("h3").textContent}: points`);
          const table = make("table", {}, box);
          const head = make("tr", {}, make("thead", {}, table));
          for (const name of ["step", ...this.curves.map((curve) => curve.label)]) {
            make("th", { scope: "col" }, head, name);
          }
          const body = make("tbody", {}, table);
          const found = this.curves.map((curve) => new Map(curve.points.map((p) => [p.step, p.value])));
          for (const step of this.steps) {
            const row = make("tr", {}, body);
            make("th", { scope: "row" }, row, step);
            for (const values of found) make("td", {}, row, values.has(step) ? values.get(step) : "");
          }
        },
        { once: true },
      );
    }
  }

  const theme = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const name = () => {
    theme.textContent = isDark() ? "Light" : "Dark";
  };
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    name();
  });
  dark.addEventListener("change", name);
  name();

  for (const note of document.querySelectorAll(".interactive")) note.hidden = false;
  for (const data of JSON.parse(document.getElementById("series").textContent)) {
    new Chart(document.getElementById(`chart-${data.anchor}`), data);
  }

  // On paper nothing is folded; the points alone stay away, for there may be thousands.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll(".tables > details:not([open])")];
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
  });
})();
