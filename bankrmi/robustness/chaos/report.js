// A closer look at any moment of the run: drag over the timeline, use the buttons or the keys, or follow an
// instant in a table (#t=from,to in seconds). The marks find their places by themselves (report.css); this
// draws rates and latencies again, finer, and says what is under the pointer.
(() => {
  "use strict";
  const timeline = document.querySelector(".timeline[data-zoomed]");
  const source = document.getElementById("fine");
  if (!timeline || !source) return;

  const fine = JSON.parse(source.textContent);
  const whole = {from: 0, span: Number(timeline.style.getPropertyValue("--span"))};
  const axis = timeline.querySelector(".axis .track");
  const [rates, latencies] = timeline.querySelectorAll(".plot svg");
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600];
  const mostDrawn = 1500, shortest = 0.5;
  let shown = {...whole};

  const clock = (seconds, decimals) => {
    const scale = 10 ** decimals, ticks = Math.round(seconds * scale);
    const rest = ((ticks % (60 * scale)) / scale).toFixed(decimals);
    return `${Math.floor(ticks / (60 * scale))}:${rest.padStart(decimals ? decimals + 3 : 2, "0")}`;
  };
  const time = hundredths =>
    hundredths < 100 ? `${hundredths * 10} µs`
      : hundredths < 100000 ? `${(hundredths / 100).toPrecision(3)} ms` : `${(hundredths / 100000).toPrecision(3)} s`;
  const downRate = value => 100 * (1 - Math.min(1, value / fine.top));
  const downLatency = hundredths => {
    const seconds = Math.max(hundredths / 100000, fine.low);
    return 100 * (1 - Math.min(1, Math.log(seconds / fine.low) / Math.log(fine.high / fine.low)));
  };

  function ticks() {
    axis.replaceChildren();
    const most = axis.clientWidth < 420 ? 4 : 8;
    const step = steps.find(step => shown.span / step <= most) || 3600;
    for (let place = Math.ceil(shown.from / step); place * step <= shown.from + shown.span; place++) {
      const tick = document.createElement("span");
      tick.className = "tick";
      tick.textContent = clock(place * step, step < 1 ? 1 : 0);
      tick.style.setProperty("--t", place * step);
      axis.append(tick);
    }
  }

  function draw(svg, name, path) {
    let drawn = svg.querySelector(`.drawn.${name}`);
    if (!drawn) {
      drawn = document.createElementNS(svg.namespaceURI, "path");
      drawn.setAttribute("class", `drawn ${name}`);
      svg.append(drawn);
    }
    drawn.setAttribute("d", path);
  }

  function redraw(first, last) {
    const x = place => (place * fine.width * 100).toFixed(0);
    let rate = `M${x(first)} 100`, band = "", longest = "";
    for (let place = first; place < last; place++) {
      rate += `V${downRate(fine.rates[place]).toFixed(1)}H${x(place + 1)}`;
      if (!fine.longests[place]) continue;
      const top = downLatency(fine.p99s[place]).toFixed(1), bottom = downLatency(fine.medians[place]).toFixed(1);
      band += `M${x(place)} ${top}H${x(place + 1)}V${bottom}H${x(place)}Z`;
      longest += `M${x(place)} ${downLatency(fine.longests[place]).toFixed(1)}H${x(place + 1)}`;
    }
    draw(rates, "rate", `${rate}V100Z`);
    draw(latencies, "band", band);
    draw(latencies, "longest", longest);
  }

  function show(from, span) {
    span = Math.min(whole.span, Math.max(shortest, span));
    from = Math.min(whole.span - span, Math.max(0, from));
    shown = {from, span};
    timeline.style.setProperty("--from", from);
    timeline.style.setProperty("--span", span);
    timeline.classList.toggle("dense", span > 150);
    for (const svg of [rates, latencies]) {
      svg.setAttribute("viewBox", `${(from * 100).toFixed(1)} 0 ${(span * 100).toFixed(1)} 100`);
    }
    const first = Math.floor(from / fine.width);
    const last = Math.min(fine.rates.length, Math.ceil((from + span) / fine.width));
    const close = span < whole.span && last - first <= mostDrawn;
    rates.classList.toggle("close", close);
    latencies.classList.toggle("close", close);
    if (close) redraw(first, last);
    else for (const path of timeline.querySelectorAll(".drawn")) path.remove();
    ticks();
    say(`${clock(from, 1)} to ${clock(from + span, 1)}`);
  }

  const tools = document.createElement("div"), output = document.createElement("output");
  const say = text => { output.textContent = text; };
  const button = (label, meaning, action) => {
    const made = document.createElement("button");
    made.type = "button"; made.textContent = label; made.title = meaning;
    made.addEventListener("click", action);
    tools.append(made);
  };
  const scaled = factor => show(shown.from + shown.span * (1 - factor) / 2, shown.span * factor);
  const moved = part => show(shown.from + shown.span * part, shown.span);
  tools.className = "tools";
  button("whole run", "show everything (0)", () => show(0, whole.span));
  button("closer", "half as much (+)", () => scaled(0.5));
  button("wider", "twice as much (-)", () => scaled(2));
  button("earlier", "(arrow left)", () => moved(-0.5));
  button("later", "(arrow right)", () => moved(0.5));
  tools.append(output);
  timeline.before(tools);
  document.documentElement.classList.add("js");

  const cursor = document.createElement("div"), chosen = document.createElement("div");
  cursor.className = "cursor"; chosen.className = "chosen";
  timeline.append(cursor, chosen);
  const place = (mark, from, to) => {
    const outer = timeline.getBoundingClientRect(), inner = axis.getBoundingClientRect();
    mark.style.display = "block";
    mark.style.left = `${inner.left - outer.left + (from - shown.from) / shown.span * inner.width}px`;
    mark.style.width = `${(to - from) / shown.span * inner.width}px`;
  };
  const instant = event => {
    const inner = axis.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (event.clientX - inner.left) / inner.width));
    return shown.from + part * shown.span;
  };
  let dragged = null;
  timeline.addEventListener("pointerdown", event => {
    if (event.button === 0 && event.pointerType !== "touch") dragged = instant(event);
  });
  timeline.addEventListener("pointermove", event => {
    const at = instant(event), bin = Math.min(fine.rates.length - 1, Math.floor(at / fine.width));
    place(cursor, at, at);
    if (dragged !== null) place(chosen, Math.min(dragged, at), Math.max(dragged, at));
    say(`${clock(at, 1)} · ${fine.rates[bin]} operations/s` + (fine.longests[bin]
      ? ` · median ${time(fine.medians[bin])}, 99 % ${time(fine.p99s[bin])}, longest ${time(fine.longests[bin])}`
      : " · nothing answered"));
  });
  timeline.addEventListener("pointerleave", () => { cursor.style.display = "none"; });
  addEventListener("pointerup", event => {
    if (dragged === null) return;
    const at = instant(event), from = Math.min(dragged, at), span = Math.abs(at - dragged);
    dragged = null;
    chosen.style.display = "none";
    if (span > shown.span / 100) show(from, span);
  });
  timeline.addEventListener("dblclick", () => show(0, whole.span));
  timeline.tabIndex = 0;
  timeline.addEventListener("keydown", event => {
    const act = {
      "+": () => scaled(0.5), "=": () => scaled(0.5), "-": () => scaled(2), "0": () => show(0, whole.span),
      ArrowLeft: () => moved(-0.25), ArrowRight: () => moved(0.25),
    }[event.key];
    if (act && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); act(); }
  });

  function follow() {
    const asked = /^#t=([\d.]+),([\d.]+)$/.exec(location.hash);
    if (!asked) return;
    show(Number(asked[1]), Number(asked[2]) - Number(asked[1]));
    document.getElementById("timeline").scrollIntoView();
  }
  addEventListener("hashchange", follow);
  addEventListener("resize", ticks);
  show(0, whole.span);
  follow();
})();
